"""The papers behind the registry: title, venue, and what each reported on CamVid."""

from __future__ import annotations

from dataclasses import replace

from models.spec import Paper

FCN = Paper(
    title="Fully Convolutional Networks for Semantic Segmentation",
    authors="Long, Shelhamer, Darrell",
    year=2015,
    venue="CVPR, arXiv:1411.4038",
    idea="only convolutions",
    parameters="134M",
)

FCN16 = replace(FCN, idea="skips of scores")

#: Long et al. did not use CamVid; the figure is the one that Jegou et al. 2017 compare with.
FCN8 = replace(FCN16, camvid_test_miou=0.570)

#: The paper's idea, but torchvision's network.
FCN_RESNET = replace(FCN, idea="dilation", parameters=None)

#: The papers have no such small networks, so the lite forms have no figures of them.
FCN_LITE = replace(FCN8, camvid_test_miou=None, parameters=None)

DECONVNET = Paper(
    title="Learning Deconvolution Network for Semantic Segmentation",
    authors="Noh, Hong, Han",
    year=2015,
    venue="ICCV, arXiv:1505.04366",
    idea="unpooling",
    camvid_test_miou=0.489,  # measured by Jegou et al. 2017 and Kendall et al. 2017
    parameters="252M",
)

DECONVNET_LITE = replace(DECONVNET, camvid_test_miou=None, parameters=None)

SEGNET = Paper(
    title="SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation",
    authors="Badrinarayanan, Kendall, Cipolla",
    year=2017,
    venue="PAMI, arXiv:1511.00561",
    idea="unpooling",
    camvid_test_miou=0.464,
    camvid_note="from the 367 training frames; the paper prints 60.1, from 3.4 thousand",
    parameters="29.45M",
)

#: Table 1 of the paper counts SegNet-Basic.
SEGNET_BASIC = replace(SEGNET, camvid_test_miou=None, camvid_note="", parameters="1.425M")

SEGNET_LITE = replace(SEGNET_BASIC, parameters=None)

UNET = Paper(
    title="U-Net: Convolutional Networks for Biomedical Image Segmentation",
    authors="Ronneberger, Fischer, Brox",
    year=2015,
    venue="MICCAI, arXiv:1505.04597",
    idea="skips of features",
)

_TIRAMISU = Paper(
    title="The One Hundred Layers Tiramisu: Fully Convolutional DenseNets for Semantic "
    "Segmentation",
    authors="Jegou, Drozdzal, Vazquez, Romero, Bengio",
    year=2017,
    venue="CVPR workshops, arXiv:1611.09326",
    idea="dense blocks, skips of features",
)

FC_DENSENET56 = replace(_TIRAMISU, camvid_test_miou=0.589, parameters="1.5M")
FC_DENSENET67 = replace(_TIRAMISU, camvid_test_miou=0.658, parameters="3.5M")
FC_DENSENET103 = replace(_TIRAMISU, camvid_test_miou=0.669, parameters="9.4M")

DEEPLAB_V1 = Paper(
    title="Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs",
    authors="Chen, Papandreou, Kokkinos, Murphy, Yuille",
    year=2015,
    venue="ICLR, arXiv:1412.7062",
    idea="dilation",
    camvid_test_miou=0.616,  # measured by Yu and Koltun 2016
    parameters="20.5M",
)

DEEPLAB_V1_LITE = replace(DEEPLAB_V1, camvid_test_miou=None, parameters=None)

DILATEDNET = Paper(
    title="Multi-Scale Context Aggregation by Dilated Convolutions",
    authors="Yu, Koltun",
    year=2016,
    venue="ICLR, arXiv:1511.07122",
    idea="dilation",
)

#: The front end followed by the context module.
DILATION = replace(DILATEDNET, idea="dilation, context module")

#: "Dilation8", its larger form, at 640x480.
DILATION8 = replace(DILATION, camvid_test_miou=0.653)

DEEPLAB_V2 = Paper(
    title="DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, "
    "and Fully Connected CRFs",
    authors="Chen, Papandreou, Kokkinos, Murphy, Yuille",
    year=2018,
    venue="PAMI, arXiv:1606.00915",
    idea="dilation, ASPP",
)

PSPNET = Paper(
    title="Pyramid Scene Parsing Network",
    authors="Zhao, Shi, Qi, Wang, Jia",
    year=2017,
    venue="CVPR, arXiv:1612.01105",
    idea="dilation, pyramid pooling",
)

DEEPLAB_V3 = Paper(
    title="Rethinking Atrous Convolution for Semantic Image Segmentation",
    authors="Chen, Papandreou, Schroff, Adam",
    year=2017,
    venue="arXiv:1706.05587",
    idea="dilation, ASPP",
)

DEEPLAB_V3PLUS = Paper(
    title="Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation",
    authors="Chen, Zhu, Papandreou, Schroff, Adam",
    year=2018,
    venue="ECCV, arXiv:1802.02611",
    idea="dilation, ASPP, skips of features",
)

DDRNET = Paper(
    title="Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road "
    "Scenes",
    authors="Hong, Pan, Sun, Jia",
    year=2021,
    venue="arXiv:2101.06085; IEEE T-ITS 2023",
    idea="two resolutions, pyramid pooling",
    camvid_test_miou=0.747,  # at 960x720
    parameters="5.7M",
)
