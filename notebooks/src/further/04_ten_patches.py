# %% [markdown]
# # Further, 04 · Ten patches of a test image
#
# At test time the paper takes the four corners and the middle, and their reflections, and averages the ten softmax outputs (§4.1). Here is a small network that does so. **Look for an image where the patches disagree.**

# %%
import torch

from alexnet_edu.data.augment import TEN_PATCHES, ten_crop
from alexnet_edu.lessons import augmentation as lesson
from alexnet_edu.notebook import at_scale, load_cifar10
from alexnet_edu.studies import networks

# %% tags=["nbval-ignore-output"]
test, network = load_cifar10().test, networks.load_weights("cifar10")
test = test.subset(torch.randperm(len(test), generator=torch.Generator().manual_seed(1)))
side = network.prepare.side  # 30 of 32 pixels
lesson.patch_explorer(test.subset(torch.arange(12)), side, network.probabilities, frames={"image": (0, 1)})

# %% tags=["nbval-ignore-output"]
judged, wrong = test.subset(torch.arange(at_scale(100, 1000, 5000))), {"middle": 0, "average of ten": 0}
for pixels, labels in zip(judged.pixels.split(100), judged.labels.split(100)):
    each = network.probabilities(ten_crop(pixels, side).flatten(0, 1)).view(len(pixels), 10, -1)
    wrong["middle"] += (each[:, TEN_PATCHES.index("centre")].argmax(1) != labels).sum().item()
    wrong["average of ten"] += (each.mean(1).argmax(1) != labels).sum().item()
print({name: f"{count / len(judged):.1%} wrong" for name, count in wrong.items()})

# %% [markdown]
# Ten opinions on one image are not independent, so the gain is modest. Lesson [11](../11_results.ipynb) measures it properly.
