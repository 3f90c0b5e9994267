# %% [markdown]
# # Further, 04 · One crop for 32 images, and a division by 1.1
#
# The ImageNet code of 2012 draws one place and one direction for 32 images in a row (`crop_chunk`, `convdata_jpeg.py` 77 and 238). That way they can be cut out of one array in one step. What does it cost?

# %%
import torch

from alexnet_edu.data.augment import random_crop_and_flip
from alexnet_edu.lessons import augmentation as lesson
from alexnet_edu.notebook import at_scale, load_cifar10, show
from alexnet_edu.studies import networks
from alexnet_edu.studies.augmenting import gradient_spread

marked = torch.arange(256.0 * 256).view(1, 1, 256, 256).expand(128, 1, 256, 256)  # a pixel tells its place
counts = {}
for shared in (1, 32):
    batches = [
        random_crop_and_flip(marked, 224, torch.Generator().manual_seed(s), shared=shared) for s in range(20)
    ]
    counts[shared] = [len({(x[0, 0, 0].item(), x[0, 0, -1].item()) for x in batch}) for batch in batches]
show(*lesson.crops_in_a_batch(counts))

# %% [markdown]
# Over many batches every image still meets every crop. What matters is the gradient. Let $v$ be the variance that the draw of a crop gives the gradient of one image. With draws of their own, 128 images leave $v/128$ in the mean. With shared draws it is between $v/128$, where all images react in their own
# way, and $v/4$, where all react alike: up to 32 times as much. Where it lies is a fact about images and networks, so we measure it, on a network that ships with these lessons.

# %% tags=["nbval-ignore-output"]
images, network = load_cifar10(), networks.load_weights("cifar10")
model, side = torch.nn.Sequential(*network.stages.values()).eval().requires_grad_(True), network.prepare.side
pick = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(3))[:128]
batch, draws = images.train.subset(pick), at_scale(4, 40, 200)
spread = {
    shared: gradient_spread(
        model, batch.pixels, batch.labels, network.prepare, side, shared=shared, draws=draws
    )
    for shared in (1, 32)
}
print(f"variance of the batch's gradient with shared crops, over that with own: {spread[32] / spread[1]:.1f}")

# %% [markdown]
# Images react mostly in their own way to the same crop, so sharing it costs less than one might fear.
#
# ## Contrast
#
# While colours are shifted, the code divides training images by 1.1 (`convdata_jpeg.py` 179), which takes 9% of their contrast, and does not divide test images. Does a network mind? This one never saw the division.

# %% tags=["nbval-ignore-output"]
test = images.test.subset(
    torch.randperm(len(images.test), generator=torch.Generator().manual_seed(4))[: at_scale(100, 1000, 5000)]
)
with torch.no_grad():
    for divisor in (1 / 1.1, 1.0, 1.1):
        logits = model(network.prepare(test.pixels) / divisor)
        error = (logits.argmax(1) != test.labels).float().mean()
        print(f"contrast divided by {divisor:.2f}: test error {error:.1%}")

# %% [markdown]
# The first line is the case of 2012: more contrast at test time than in training. The differences are small. The first to notice would be normalization and biases, which know a scale. A network of ReLUs without biases would not notice at all, because $\max(0, c z) = c \max(0, z)$.
#
# The colours were switched off near epoch 67 of about 90, in the same edit that slowed down conv1. So the last quarter of the training saw true colours and full contrast. `LOGGED["145"].noise_off` in `alexnet_edu.training.schedules` keeps it for those who want to repeat it.
