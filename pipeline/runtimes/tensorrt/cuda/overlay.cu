// Class colours over frames, as pipeline/stream/overlay.py draws them: one thread for each pixel.
//
// frames   (N, height, width, 3) bytes, BGR
// classes  (N, map_height, map_width) bytes
// columns  (width), rows (height): where in the class map each pixel of the frame looks
// palette  (256, 3) bytes, BGR
// blended  (N, height, width, 3) bytes, BGR; N is the grid's depth

extern "C" __global__ void overlay(
    const unsigned char* frames, const unsigned char* classes, const unsigned short* columns,
    const unsigned short* rows, const unsigned char* palette, unsigned char* blended, int height,
    int width, int map_height, int map_width, float opacity)
{
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) {
        return;
    }
    // A batch of large frames has more bytes than an int counts.
    const long long place = (long long)blockIdx.z * map_height + rows[y];
    const unsigned char* colour = palette + 3 * classes[place * map_width + columns[x]];
    const long long pixel = 3 * (((long long)blockIdx.z * height + y) * width + x);
    for (int channel = 0; channel < 3; ++channel) {
        const float value = frames[pixel + channel] * (1.0f - opacity) + colour[channel] * opacity;
        // Both are at most 255 and their weights sum to one: no need to clip.
        blended[pixel + channel] = (unsigned char)__float2int_rn(value);
    }
}
