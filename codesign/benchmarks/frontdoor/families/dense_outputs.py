"""Networks whose outputs are images or maps: segmentation, generation, detection."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .blocks import Residual, classifier, conv


class UNet(nn.Module):
    """Two levels down and up, with the earlier maps beside the later ones."""

    def __init__(self, bilinear: bool) -> None:
        super().__init__()
        self.first, self.second, self.third = conv(3, 8), conv(8, 12), conv(12, 16)
        self.pool = nn.MaxPool2d(2)
        self.up_second, self.up_first = self._up(16, 12, bilinear), self._up(12, 8, bilinear)
        self.join_second, self.join_first = conv(24, 12), conv(16, 8)
        self.head = nn.Conv2d(8, 2, 1)

    @staticmethod
    def _up(inputs: int, outputs: int, bilinear: bool) -> nn.Module:
        if bilinear:
            resize = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            return nn.Sequential(resize, conv(inputs, outputs, 1))
        return nn.ConvTranspose2d(inputs, outputs, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) → (n, 2, h, w)."""
        first = self.first(x)
        second = self.second(self.pool(first))
        up = self.up_second(self.third(self.pool(second)))
        up = self.up_first(self.join_second(torch.cat([up, second], 1)))
        return self.head(self.join_first(torch.cat([up, first], 1)))


def unet_transposed() -> nn.Module:
    """U-Net that goes up by transposed convolutions."""
    return UNet(bilinear=False)


def unet_bilinear() -> nn.Module:
    """U-Net that goes up by bilinear interpolation."""
    return UNet(bilinear=True)


class PyramidNetwork(nn.Module):
    """A feature pyramid: lateral 1×1 convolutions, nearest neighbours upwards, sums; one map a level."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down1, self.down2 = conv(3, 8, stride=2), conv(8, 12, stride=2), conv(12, 16, stride=2)
        self.lateral0, self.lateral1, self.lateral2 = nn.Conv2d(8, 8, 1), nn.Conv2d(12, 8, 1), nn.Conv2d(16, 8, 1)
        self.smooth0, self.smooth1 = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, 3, h, w) → maps of 8 channels at strides 2, 4 and 8."""
        level0 = self.stem(x)
        level1 = self.down1(level0)
        top = self.lateral2(self.down2(level1))
        middle = self.lateral1(level1) + F.interpolate(top, scale_factor=2.0, mode="nearest")
        low = self.lateral0(level0) + F.interpolate(middle, scale_factor=2.0, mode="nearest")
        return self.smooth0(low), self.smooth1(middle), top


class Leaky(nn.LeakyReLU):
    """The slope of darknet."""

    def __init__(self) -> None:
        super().__init__(0.1)


class Yolo(nn.Module):
    """LeakyReLU, residual stages, pooled context side by side, nearest neighbours and concatenation, two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.low = conv(3, 8, stride=2, act=Leaky), conv(8, 16, stride=2, act=Leaky)
        self.stage = Residual(nn.Sequential(conv(16, 8, 1, act=Leaky), conv(8, 16, act=Leaky)), act=None)
        self.high = conv(16, 24, stride=2, act=Leaky)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.context = conv(72, 24, 1, act=Leaky)
        self.lateral = conv(24, 8, 1, act=Leaky)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.join = conv(24, 16, act=Leaky)
        self.head_high, self.head_low = nn.Conv2d(24, 18, 1), nn.Conv2d(16, 18, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) → maps (n, 18, h/8, w/8) and (n, 18, h/4, w/4)."""
        low = self.stage(self.low(self.stem(x)))
        high = self.high(low)
        pooled = self.pool(high)
        high = self.context(torch.cat([high, pooled, self.pool(pooled)], 1))
        joined = self.join(torch.cat([self.up(self.lateral(high)), low], 1))
        return self.head_high(high), self.head_low(joined)


class SingleShot(nn.Module):
    """A detector's heads: boxes and classes of two maps, as rows of anchors one behind the other."""

    def __init__(self, anchors: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.classes = classes
        self.backbone = nn.Sequential(conv(3, 8, stride=2), conv(8, 16, stride=2))
        self.extra = conv(16, 16, stride=2)
        self.boxes = nn.ModuleList(nn.Conv2d(16, anchors * 4, 3, padding=1) for _ in range(2))
        self.scores = nn.ModuleList(nn.Conv2d(16, anchors * classes, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) → boxes (n, anchors, 4) and probabilities (n, anchors, classes)."""
        low = self.backbone(x)
        maps = (low, self.extra(low))
        boxes = [self._rows(head(m), 4) for head, m in zip(self.boxes, maps, strict=True)]
        scores = [self._rows(head(m), self.classes) for head, m in zip(self.scores, maps, strict=True)]
        return torch.cat(boxes, 1), torch.softmax(torch.cat(scores, 1), -1)

    @staticmethod
    def _rows(x: Tensor, size: int) -> Tensor:
        return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, size)


class Segmentation(nn.Module):
    """Dilated convolutions side by side with the mean of the whole map, resized to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv(3, 8, stride=2), conv(8, 16, stride=2), conv(16, 16, dilation=2))
        self.branches = nn.ModuleList([conv(16, 8, 1), conv(16, 8, dilation=2), conv(16, 8, dilation=4)])
        self.mean = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 8, 1), nn.ReLU())
        self.join = conv(32, 12, 1)
        self.head = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) → (n, 5, h, w)."""
        features = self.backbone(x)
        mean = F.interpolate(self.mean(features), size=features.shape[2:], mode="nearest")
        joined = self.join(torch.cat([*(branch(features) for branch in self.branches), mean], 1))
        return F.interpolate(self.head(joined), scale_factor=4.0, mode="bilinear", align_corners=False)


def super_resolution() -> nn.Module:
    """PReLU with a slope a channel, a long shortcut, and channels moved into a grid of twice the size."""
    body = nn.Sequential(nn.Conv2d(12, 12, 3, padding=1), nn.PReLU(12), nn.Conv2d(12, 12, 3, padding=1))
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, padding=2),
        nn.PReLU(12),
        Residual(body, act=None),
        nn.Conv2d(12, 4, 3, padding=1),
        nn.PixelShuffle(2),
    )


class Generator(nn.Module):
    """DCGAN's: a vector is spread to a map and doubled by transposed convolutions; tanh at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Linear(16, 24 * 16)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.ConvTranspose2d(24, 12, 4, 2, 1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.ConvTranspose2d(12, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, 16) → (n, 3, 16, 16)."""
        return self.layers(self.spread(x).view(-1, 24, 4, 4))


class RepeatedHead(nn.Module):
    """A classifier and a regressor of one backbone: two outputs, one of them through a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(conv(3, 8, stride=2), conv(8, 16, stride=2))
        self.classes, self.box = classifier(16), classifier(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) → (n, 10) and (n, 4) between 0 and 1."""
        features = self.backbone(x)
        return self.classes(features), torch.sigmoid(self.box(features))
