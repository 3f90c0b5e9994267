# %% [markdown]
# # Further, 00 · 224 or 227 pixels?
#
# $(224 - 11)/4 = 53.25$: the first convolution of the paper does not come out even, and yet it has 55 places in a row. Four ways lead to 55. Are they the
# same network?

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.lessons import start as lesson
from alexnet_edu.model.layers import CeilConv2d
from alexnet_edu.notebook import show

random = torch.Generator().manual_seed(0)
crop = torch.randint(256, (1, 3, 227, 227), generator=random) - 128.0  # 0–255 minus the mean
image = crop[..., :224, :224]
kernels = 0.01 * torch.randn(96, 3, 11, 11, generator=random)
print("rounded down, as PyTorch does:", F.conv2d(image, kernels, stride=4).shape[-1], "places")

# %% [markdown]
# The authors' code rounds sizes **up** (`layer.py`); no padding is configured, and no 227 appears. The package's `CeilConv2d` does that. Others crop
# 227 pixels instead of 224, or pad by 2 on each side, as torchvision's `alexnet` does, or add the three missing zeros themselves. All four see the same image with the
# same 96 kernels.

# %%
by_the_rule = CeilConv2d(3, 96, 11, stride=4, bias=False)
by_the_rule.weight = torch.nn.Parameter(kernels, requires_grad=False)
ways = {
    "the authors' rule": by_the_rule(image),
    "three zeros": F.conv2d(F.pad(image, (0, 3, 0, 3)), kernels, stride=4),
    "227 pixels": F.conv2d(crop, kernels, stride=4),
    "padding by 2": F.conv2d(image, kernels, stride=4, padding=2),
}
show(*lesson.agreement(ways))

# %% [markdown]
# - **Three zeros** at the right and at the bottom are the authors' rule. After the mean is subtracted, a zero is the mean pixel.
# - **227 pixels** differ in the last row and the last column only: $55^2 - 54^2 = 109$ windows reach the three pixels that the authors' network does not have.
# - **Padding by 2** agrees nowhere. Every window lies two pixels further up and two further to the left.
#
# So weights trained in one way see a slightly shifted image in another. A convolution hardly minds, but an exact comparison fails. Anyone who loads
# weights from elsewhere has to ask which of the four they were trained with.
