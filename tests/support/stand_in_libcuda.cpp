// libcuda.so.1 without a GPU: what pycuda calls, on the processor, refusing what a driver refuses.
//
// Streams are lazy: work on them is done when somebody waits for it and not before, in the order
// that streams and events demand. Device memory is closed to the process except while work is done.
// After an error that a driver does not survive every call fails. Any call can be made to fail. What
// a driver takes and a program had better not do (pageable memory, freeing under work) is written
// down as a complaint. At the end of the process STAND_IN_REPORT, a file, is told what is held.

#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

struct Place {
    unsigned x, y, z;
};
static Place blockIdx, blockDim, threadIdx;
#define __global__
static int __float2int_rn(float value) { return (int)std::nearbyintf(value); }
#include "overlay.cu"

using Result = int;
using Address = uint64_t;
enum : Result {
    INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, INVALID_CONTEXT = 201,
    NO_BINARY = 209, INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_READY = 600, ILLEGAL_ADDRESS = 700,
    LAUNCH_FAILED = 719
};

namespace {

struct Work {
    std::function<void()> run;
    std::vector<Address> touches;
};
struct Stream {
    std::deque<Work> work;
    size_t put = 0, done = 0;
    bool alive = true;
};
struct Event {
    std::shared_ptr<Stream> stream;
    size_t place = 0;
    double ms = -1;
};

std::recursive_mutex state;      // what is there; never held while work is done
std::recursive_mutex executing;  // held while work is done
struct Contexts : std::vector<void*> {  // of a thread, pushed and not popped
    ~Contexts();
};
thread_local Contexts contexts;
int primary;                     // a place whose address is the context
int retained;
Result sticky;
std::map<Address, size_t> device, host;
std::map<void*, std::shared_ptr<Stream>> streams;
std::map<void*, std::shared_ptr<Event>> events;
std::set<void*> modules;
std::vector<std::string> calls, complaints;
long fail_at = -1;
Result fail_with;
bool fail_late, late_now;

using Lock = std::lock_guard<std::recursive_mutex>;

int setting(const char* name, int otherwise) {
    const char* text = getenv(name);
    return text ? atoi(text) : otherwise;
}
int capability() { return setting("STAND_IN_CAPABILITY", 89); }
void complain(const std::string& text) { complaints.push_back(text); }
// pycuda pushes the context when it gives it back at the end, in the main thread.
Contexts::~Contexts() {
    if (!empty() && getpid() != gettid()) complain("a thread ends with a context pushed");
}
bool survives(Result error) { return error < ILLEGAL_ADDRESS || error > LAUNCH_FAILED; }

// Count a call; what it returns before it does anything. Calls that free do so and then report.
Result enter(const char* name, bool needs_context = true, bool frees = false) {
    const bool chosen = (long)calls.size() == fail_at;
    calls.push_back(name);
    late_now = chosen && fail_late;
    if (needs_context && contexts.empty()) {
        complain(std::string(name) + " in a thread without the context");
        return INVALID_CONTEXT;
    }
    if (needs_context && sticky) return sticky;
    if (!chosen || fail_late) return 0;
    if (!survives(fail_with)) sticky = fail_with;
    return frees && survives(fail_with) ? 0 : fail_with;
}
Result leave() {  // of a call that frees
    return (long)calls.size() - 1 == fail_at && !fail_late ? fail_with : 0;
}

bool inside(const std::map<Address, size_t>& memory, Address first, size_t size) {
    auto found = memory.upper_bound(first);
    if (found == memory.begin()) return false;
    --found;
    return first >= found->first && first + size <= found->first + found->second;
}
bool reachable(Address first, size_t size) {
    return inside(device, first, size) || inside(host, first, size);
}
size_t pages(size_t size) { return (size + 4095) / 4096 * 4096; }
void* take(size_t size) {
    void* found =
        mmap(nullptr, pages(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return nullptr;
    memset(found, 0xA5, size);  // what was there before
    return found;
}
void open_device(bool open) {
    for (auto& [first, size] : device)
        mprotect((void*)first, pages(size), open ? PROT_READ | PROT_WRITE : PROT_NONE);
}

void put(void* stream, std::function<void()> run, std::vector<Address> touches = {}) {
    if (late_now) {
        const Result error = fail_with;
        run = [error] { sticky = error; };
    }
    Stream& found = *streams.at(stream);
    found.work.push_back({std::move(run), std::move(touches)});
    ++found.put;
}
void run_until(const std::shared_ptr<Stream>& stream, size_t until) {
    Lock alone(executing);
    for (;;) {
        Work next;
        {
            Lock lock(state);
            if (stream->done >= until || stream->work.empty()) return;
            next = std::move(stream->work.front());
            stream->work.pop_front();
            open_device(true);
        }
        if (!sticky) next.run();
        Lock lock(state);
        ++stream->done;
        open_device(false);
    }
}
void run_all() {
    std::vector<std::shared_ptr<Stream>> all;
    {
        Lock lock(state);
        for (auto& [handle, stream] : streams) all.push_back(stream);
    }
    for (auto& stream : all) run_until(stream, stream->put);
}
void check_idle(Address first, size_t size) {
    for (auto& [handle, stream] : streams)
        for (auto& work : stream->work)
            for (Address touched : work.touches)
                if (touched >= first && touched < first + size)
                    complain("memory is freed while work on it is under way");
}

Result copy(const char* name, Address to, Address from, size_t size, void* stream, bool in) {
    const Address on_host = in ? from : to, on_device = in ? to : from;
    if (!streams.count(stream)) return INVALID_HANDLE;
    if (!reachable(on_device, size)) return INVALID_VALUE;
    if (!inside(host, on_host, size)) complain(std::string(name) + " with pageable memory");
    put(stream, [=] { memcpy((void*)to, (const void*)from, size); }, {to, from});
    return 0;
}

struct Picture {  // the overlay kernel's values, as they lie in the launch's buffer
    Address frames, classes, columns, rows, palette, blended;
    int height, width, map_height, map_width;
    float opacity;
};
void paint(const Picture& picture, Place grid, Place block) {
    const size_t pixels = (size_t)grid.z * picture.height * picture.width;
    const std::pair<Address, size_t> ranges[] = {
        {picture.frames, 3 * pixels}, {picture.blended, 3 * pixels}, {picture.palette, 768},
        {picture.classes, (size_t)grid.z * picture.map_height * picture.map_width},
        {picture.columns, 2 * (size_t)picture.width}, {picture.rows, 2 * (size_t)picture.height}};
    for (auto& [first, size] : ranges)
        if (!reachable(first, size)) {
            sticky = ILLEGAL_ADDRESS;
            return;
        }
    blockDim = block;
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x)
    for (threadIdx.y = 0; threadIdx.y < block.y; ++threadIdx.y)
    for (threadIdx.x = 0; threadIdx.x < block.x; ++threadIdx.x)
        overlay((unsigned char*)picture.frames, (unsigned char*)picture.classes,
                (unsigned short*)picture.columns, (unsigned short*)picture.rows,
                (unsigned char*)picture.palette, (unsigned char*)picture.blended, picture.height,
                picture.width, picture.map_height, picture.map_width, picture.opacity);
}

std::string held() {
    const std::pair<const char*, size_t> kinds[] = {
        {"device memory", device.size()}, {"host memory", host.size()}, {"streams", streams.size()},
        {"events", events.size()}, {"modules", modules.size()}, {"contexts", (size_t)retained}};
    std::string text;
    for (auto& [kind, count] : kinds)
        if (count) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + kind;
    return text;
}

struct AtExit {
    ~AtExit() {
        const char* name = getenv("STAND_IN_REPORT");
        FILE* file = name ? fopen(name, "w") : nullptr;
        if (!file) return;
        const bool failed = fail_at >= 0 && fail_at < (long)calls.size();
        fprintf(file, "calls %zu\nfailed %s\nlost %d\nheld %s\n", calls.size(),
                failed ? calls[(size_t)fail_at].c_str() : "", sticky, held().c_str());
        for (auto& text : complaints) fprintf(file, "complaint %s\n", text.c_str());
        fclose(file);
    }
} at_exit;

int copied_out(const std::string& text, char* target, int size) {
    snprintf(target, (size_t)size, "%s", text.c_str());
    return (int)text.size();
}

}  // namespace

#define ENTER(...) \
    Lock lock(state); \
    if (Result refused = enter(__func__ __VA_OPT__(,) __VA_ARGS__)) return refused

extern "C" {

// For tests.

int stand_in_calls() { return (int)calls.size(); }
int stand_in_call(int place, char* name, int size) {
    return copied_out(calls.at((size_t)place), name, size);
}
void stand_in_fail(int place, int error, int late) {
    fail_at = place;
    fail_with = error;
    fail_late = late;
}
int stand_in_held(char* text, int size) { return copied_out(held(), text, size); }
int stand_in_complaints(char* text, int size) {
    std::string all;
    for (auto& one : complaints) all += one + "\n";
    complaints.clear();
    return copied_out(all, text, size);
}

// The driver.

Result cuInit(unsigned) { ENTER(false); return setting("STAND_IN_INIT", 0); }
Result cuDriverGetVersion(int* version) {
    ENTER(false);
    *version = setting("STAND_IN_VERSION", 13000);
    return 0;
}
Result cuDeviceGetCount(int* count) { ENTER(false); *count = 1; return 0; }
Result cuDeviceGet(int* found, int number) { ENTER(false); *found = number; return number ? 101 : 0; }
Result cuDeviceGetName(char* name, int size, int) {
    ENTER(false);
    snprintf(name, (size_t)size, "the stand-in");
    return 0;
}
Result cuDeviceComputeCapability(int* major, int* minor, int) {
    ENTER(false);
    *major = capability() / 10;
    *minor = capability() % 10;
    return 0;
}
Result cuDeviceGetAttribute(int* value, int attribute, int) {
    ENTER(false);
    *value = attribute == 18 ? setting("STAND_IN_INTEGRATED", 0)
           : attribute == 75 ? capability() / 10 : attribute == 76 ? capability() % 10 : 1;
    return 0;
}
Result cuDevicePrimaryCtxRetain(void** context, int) {
    ENTER(false);
    ++retained;
    *context = &primary;
    return 0;
}
Result cuDevicePrimaryCtxRelease_v2(int) {
    ENTER(false, true);
    if (!retained) return INVALID_CONTEXT;
    --retained;
    return leave();
}
Result cuCtxPushCurrent_v2(void* context) {
    ENTER(false);
    if (context != &primary) return INVALID_CONTEXT;
    contexts.push_back(context);
    return 0;
}
Result cuCtxPopCurrent_v2(void** context) {
    ENTER(false);
    if (contexts.empty()) return INVALID_CONTEXT;
    if (context) *context = contexts.back();
    contexts.pop_back();
    return 0;
}
Result cuCtxGetDevice(int* found) { ENTER(); *found = 0; return 0; }
Result cuCtxSynchronize() {
    { ENTER(); }
    run_all();
    return sticky;
}

Result cuMemAlloc_v2(Address* address, size_t size) {
    ENTER();
    if (!size) return INVALID_VALUE;
    if (size > (size_t)setting("STAND_IN_MEMORY", 1 << 30)) return OUT_OF_MEMORY;
    void* found = take(size);
    if (!found) return OUT_OF_MEMORY;
    *address = (Address)found;
    device[*address] = size;
    mprotect(found, pages(size), PROT_NONE);
    return 0;
}
Result cuMemFree_v2(Address address) {
    ENTER(true, true);
    auto found = device.find(address);
    if (found == device.end()) return INVALID_VALUE;
    check_idle(address, found->second);
    munmap((void*)address, pages(found->second));
    device.erase(found);
    return leave();
}
Result cuMemHostAlloc(void** address, size_t size, unsigned flags) {
    ENTER();
    if (!size || flags > 7) return INVALID_VALUE;
    if (size > (size_t)setting("STAND_IN_MEMORY", 1 << 30)) return OUT_OF_MEMORY;
    *address = take(size);
    if (!*address) return OUT_OF_MEMORY;
    host[(Address)*address] = size;
    return 0;
}
Result cuMemFreeHost(void* address) {
    ENTER(true, true);
    auto found = host.find((Address)address);
    if (found == host.end()) return INVALID_VALUE;
    check_idle(found->first, found->second);
    munmap(address, pages(found->second));
    host.erase(found);
    return leave();
}
Result cuMemHostGetDevicePointer_v2(Address* found, void* address, unsigned flags) {
    ENTER();
    if (flags || !host.count((Address)address)) return INVALID_VALUE;
    *found = (Address)address;
    return 0;
}
Result cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t size, void* stream) {
    ENTER();
    return copy(__func__, to, (Address)from, size, stream, true);
}
Result cuMemcpyDtoHAsync_v2(void* to, Address from, size_t size, void* stream) {
    ENTER();
    return copy(__func__, (Address)to, from, size, stream, false);
}

Result cuStreamCreate(void** stream, unsigned flags) {
    ENTER();
    if (flags > 1) return INVALID_VALUE;
    auto made = std::make_shared<Stream>();
    streams[*stream = made.get()] = made;
    return 0;
}
Result cuStreamDestroy_v2(void* stream) {
    ENTER(true, true);
    if (!streams.count(stream)) return INVALID_HANDLE;
    if (!streams[stream]->work.empty()) complain("a stream is destroyed with work under way");
    streams.erase(stream);
    return leave();
}
Result cuStreamSynchronize(void* stream) {
    std::shared_ptr<Stream> found;
    {
        ENTER();
        if (!streams.count(stream)) return INVALID_HANDLE;
        found = streams[stream];
    }
    run_until(found, found->put);
    return sticky;
}
Result cuStreamWaitEvent(void* stream, void* event, unsigned) {
    ENTER();
    if (!streams.count(stream) || !events.count(event)) return INVALID_HANDLE;
    auto other = events[event]->stream;
    const size_t place = events[event]->place;
    if (other) put(stream, [=] { run_until(other, place); });
    return 0;
}
Result cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
    ENTER();
    if (!streams.count(stream) || !function) return INVALID_HANDLE;
    put(stream, [=] { function(data); });
    return 0;
}

Result cuEventCreate(void** event, unsigned) {
    ENTER();
    auto made = std::make_shared<Event>();
    events[*event = made.get()] = made;
    return 0;
}
Result cuEventDestroy_v2(void* event) {
    ENTER(true, true);
    if (!events.erase(event)) return INVALID_HANDLE;
    return leave();
}
Result cuEventRecord(void* event, void* stream) {
    ENTER();
    if (!streams.count(stream) || !events.count(event)) return INVALID_HANDLE;
    auto found = events[event];
    put(stream, [found] {
        timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        found->ms = 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
    });
    found->stream = streams[stream];
    found->place = found->stream->put;
    found->ms = -1;
    return 0;
}
Result cuEventSynchronize(void* event) {
    std::shared_ptr<Event> found;
    {
        ENTER();
        if (!events.count(event)) return INVALID_HANDLE;
        found = events[event];
    }
    if (found->stream) run_until(found->stream, found->place);
    return sticky;
}
Result cuEventElapsedTime_v2(float* ms, void* from, void* to) {
    ENTER();
    if (!events.count(from) || !events.count(to)) return INVALID_HANDLE;
    Event &first = *events[from], &last = *events[to];
    if (!first.stream || !last.stream) return INVALID_HANDLE;
    if (first.ms < 0 || last.ms < 0) return NOT_READY;
    *ms = (float)(last.ms - first.ms);
    return 0;
}

Result cuModuleLoadDataEx(void** module, const void* image, unsigned, void*, void*) {
    ENTER();
    const unsigned char* bytes = (const unsigned char*)image;
    if (memcmp(bytes, "\x7f" "ELF", 4)) return INVALID_IMAGE;
    const int architecture = bytes[8] >= 8 ? bytes[49] : bytes[48];  // CUDA 13 moved it
    if (architecture / 10 != capability() / 10 || architecture > capability()) return NO_BINARY;
    modules.insert(*module = new int);
    return 0;
}
Result cuModuleLoadData(void** module, const void* image) {
    return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}
Result cuModuleUnload(void* module) {
    ENTER(true, true);
    if (!modules.erase(module)) return INVALID_HANDLE;
    delete (int*)module;
    return leave();
}
Result cuModuleGetFunction(void** function, void* module, const char* name) {
    ENTER();
    if (!modules.count(module)) return INVALID_HANDLE;
    if (strcmp(name, "overlay")) return NOT_FOUND;
    *function = module;
    return 0;
}
// Deprecated, and what pycuda still calls before each launch.
Result cuFuncSetBlockShape(void*, int x, int y, int z) {
    ENTER();
    return x > 0 && y > 0 && z > 0 ? 0 : INVALID_VALUE;
}
Result cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned, void* stream, void**,
                      void** extra) {
    ENTER();
    if (!streams.count(stream) || !modules.count(function)) return INVALID_HANDLE;
    const bool empty = !grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z;
    if (empty || grid_y > 65535 || grid_z > 65535 || block_z > 64) return INVALID_VALUE;
    if ((uint64_t)block_x * block_y * block_z > 1024) return INVALID_VALUE;
    const void* values = nullptr;
    size_t size = 0;
    for (int place = 0; extra && extra[place]; place += 2) {
        if (extra[place] == (void*)1) values = extra[place + 1];
        if (extra[place] == (void*)2) size = *(size_t*)extra[place + 1];
    }
    if (!values || size != offsetof(Picture, opacity) + sizeof(float)) return INVALID_VALUE;
    Picture picture;
    memcpy(&picture, values, size);
    put(stream, [=] { paint(picture, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}); },
        {picture.frames, picture.classes, picture.columns, picture.palette, picture.blended});
    return 0;
}

// NVRTC asks for undocumented tables, and does without.
Result cuGetExportTable(const void** table, const void*) { *table = nullptr; return NOT_FOUND; }
Result cuGetErrorString(Result error, const char** text) {
    static const std::map<Result, const char*> known = {
        {INVALID_VALUE, "invalid argument"}, {OUT_OF_MEMORY, "out of memory"},
        {100, "no CUDA-capable device is detected"}, {101, "invalid device ordinal"},
        {INVALID_IMAGE, "device kernel image is invalid"},
        {INVALID_CONTEXT, "invalid device context"},
        {NO_BINARY, "no kernel image is available for execution on the device"},
        {INVALID_HANDLE, "invalid resource handle"}, {NOT_FOUND, "named symbol not found"},
        {NOT_READY, "device not ready"},
        {ILLEGAL_ADDRESS, "an illegal memory access was encountered"},
        {LAUNCH_FAILED, "unspecified launch failure"}, {801, "operation not supported"}};
    auto found = known.find(error);
    *text = found == known.end() ? "unrecognized error code" : found->second;
    return found == known.end() ? INVALID_VALUE : 0;
}

}  // extern "C"
