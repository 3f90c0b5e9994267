# %% [markdown]
# # 04 · Crops, reflections, colour PCA: more images out of the same ones
#
# **The claims** (§4.1). The network has 60 million parameters and 1.2 million images. Random crops of 224×224 pixels from images of 256×256, mirrored half of the time, multiply the images by 2048; without them the network *overfits
# substantially*. Shifting the colours of each image along the principal components of all pixels' colours lowers the top-1 error by *over 1%*. And neither costs any time.
#
# **The answer.** Both gains appear in a small version, but a training that is stopped early shows neither. And 2048 should be 2178, of which the network sees no more than 90.

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.data import augment
from alexnet_edu.lessons import augmentation as lesson
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies.ablations import small_alexnet

# %% tags=["nbval-ignore-output"]
images = load_cifar10()
colors = augment.ColorPCA.fit(images.train.pixels)
show(*lesson.versions(images.test, colors))

# %% [markdown]
# Which of these changes keep the label? Turning a little, scaling and noise all do. A horse upside down is still a horse, but no test image looks like that. (And a 6 upside down is a 9: it depends on the classes.) The colours here are six times as strong as a typical draw
# in the paper, which you would hardly notice.
#
# **Know first:** training and test error; eigenvectors of a symmetric matrix. **Time:** 45 minutes, of which two or three of computing, and 45 minutes of exercises.
#
# ## 1 · Predict
#
# A small AlexNet with 65 parameters for each of its images (the paper's has 50) trains on 10,000 images of CIFAR-10. After 60 epochs it gets every one of them right, and 43% of the test images wrong. Now it sees random crops of 24×24 out of 32×32 pixels, mirrored half of the time: 162
# versions of each image, most of them nearly alike. **What is its test error after 60 epochs?** Are 162 versions of 10,000 images worth as much as 20,000 images? As 1.6 million?

# %%
my_error = None  # for example 0.4

# %% [markdown]
# ## 2 · Derive
#
# **Crops and reflections.** Each image draws a place and a direction of its own, anew each time it is used.


# %%
def crop_one(image, top, left, mirrored, size):
    """image: (3, H, W) -> (3, size, size)."""
    crop = image[:, top : top + size, left : left + size]
    return crop.flip(2) if mirrored else crop


def crop_batch(images, size, random):
    """images: (N, 3, H, W) -> (N, 3, size, size)."""
    n, _, h, w = images.shape
    tops = torch.randint(h - size + 1, (n,), generator=random)
    lefts = torch.randint(w - size + 1, (n,), generator=random)
    mirrored = torch.randint(2, (n,), generator=random)
    return torch.stack([crop_one(*each, size) for each in zip(images, tops, lefts, mirrored)])


# %% [markdown]
# **2048 or 2178?** Do not argue, count: all crops of one photograph, as a set.

# %%
portrait, places = photograph(), range(256 - 224 + 1)  # (3, 256, 256)
draws = [(top, left, mirrored) for top in places for left in places for mirrored in (False, True)]
print(len({crop_one(portrait, *draw, 224).contiguous().numpy().tobytes() for draw in draws}))

# %% [markdown]
# A window of 224 has 33 places along 256 pixels: the first begins at pixel 0, the last at pixel 32. The paper's number is $32 \cdot 32 \cdot 2$; the authors' code draws from 33. Nothing depends on it, and exercise 04.1 shows why.
#
# **Colours.** Take all pixels of all training images as points $(r, g, b)$. Their covariance matrix $C$ has orthogonal eigenvectors $\mathbf p_1, \mathbf p_2, \mathbf p_3$; the eigenvalues $\lambda_1 \ge \lambda_2 \ge \lambda_3$ are the variances along them. To each image the
# paper adds
#
# $$[\mathbf p_1\ \mathbf p_2\ \mathbf p_3]\,[\alpha_1 \lambda_1,\ \alpha_2 \lambda_2,\ \alpha_3 \lambda_3]^\top, \qquad \alpha_i \sim \mathcal N(0,\ 0.1^2).$$
#
# Three numbers, the *same for all pixels* of the image: its edges stay as they are, and only the light changes. There is one $\alpha$ for each *component*, not for each channel and not for each pixel, and it is drawn once each time the image is used.

# %%
pixels = images.train.pixels[:2000].double().transpose(0, 1).flatten(1)  # (3, pixels)
C = torch.cov(pixels, correction=0)
eigenvalues, P = torch.linalg.eigh(C)  # ascending; the vectors are columns


def shift(images, alphas, P, strengths):
    """images: (N, 3, H, W). alphas: (N, 3). strengths: (3,), what alpha multiplies."""
    added = [sum(a[i] * strengths[i] * P[:, i] for i in range(3)) for a in alphas]  # N times (3,)
    return images + torch.stack(added)[:, :, None, None]


# %% [markdown]
# **The trap.** Eigenvalues are variances: their unit is grey levels *squared*, so the result depends on whether white is 255 or 1. For pixels of 0–255, $0.1\,\lambda_1$ is more than 1,000 grey levels, and the image becomes one white or black sheet. The authors' code multiplies what it calls
# *stdevs*, standard deviations. With $\sqrt{\lambda_i}$ the added colours have the covariance
#
# $$P\, \mathrm{diag}(0.1^2 \lambda_i)\, P^\top = 0.1^2\, C,$$
#
# that of the pixels themselves with standard deviations ten times smaller, whatever the unit. (So they do not depend on the arbitrary signs of the eigenvectors.) The package takes $\sqrt{\lambda_i}$ as well.
#
# ## 3 · Bridge
#
# The package's functions do the same, draw by draw.

# %%
some, seeds = images.train.pixels[:64], [torch.Generator().manual_seed(1) for _ in range(4)]
theirs = augment.random_crop_and_flip(some, 24, seeds[0])
print("crops:     ", torch.equal(crop_batch(some, 24, seeds[1]), theirs))
fitted = augment.ColorPCA.fit(images.train.pixels[:2000])
print("components:", torch.allclose(fitted.eigenvalues, eigenvalues.flip(0)))
alphas = 0.1 * torch.randn(64, 3, generator=seeds[2], dtype=torch.float64)
shifted = shift(some, alphas, fitted.eigenvectors, fitted.eigenvalues.sqrt())
print("colours:   ", torch.allclose(shifted.float(), fitted.apply(some, 0.1, seeds[3]), atol=1e-3))

# %% [markdown]
# **Move the α's.** One standard deviation is 0.1; the picture starts at six, so that you see a change at all. When would you no longer call it the same photograph? Then choose $\lambda$ of pixels 0–255, and look for an $\alpha_1$ that leaves anything to see.

# %% tags=["nbval-ignore-output"]
lesson.color_explorer(portrait, colors, frames={"kind": augment.STRENGTHS})

# %% [markdown]
# ## 4 · Run
#
# With 2,000 images the network overfits within a minute. Here are three ways to train it, from the same starting weights. Every error is measured on the middle 24×24 pixels, for training images too. This takes two or three minutes on two cores.

# %%
WAYS = {"no augmentation": (), "crops and reflections": ("crop", "flip")}
WAYS["crops, reflections, colours"] = ("crop", "flip", "colour")


def train(way, pixels, labels, prepare, epochs, rate=0.01, seed=0):
    """A network of three convolutions and two hidden layers of 512, trained. pixels: (N, 3, 32, 32) uint8."""
    random = torch.Generator().manual_seed(seed)
    change = augment.composed(WAYS[way], 24, colors)  # ends with 24 × 24 pixels
    net = AlexNet(small_alexnet(), generator=random).to(memory_format=torch.channels_last)
    weights = list(net.parameters())
    velocities = [torch.zeros_like(w) for w in weights]
    for epoch in range(epochs):
        now = rate / 10 if epoch >= 0.85 * epochs else rate
        for batch in torch.randperm(len(pixels), generator=random).split(128):
            x = prepare(change(pixels[batch], random))
            gradients = torch.autograd.grad(F.cross_entropy(net(x), labels[batch]), weights)
            with torch.no_grad():
                for w, v, g in zip(weights, velocities, gradients):
                    v.mul_(0.9).sub_(now * g)
                    w.add_(v)
    return net


# %% tags=["nbval-ignore-output"]
count, epochs, seed = *at_scale((200, 2), (2000, 40), (2000, 100)), 0
few, test = (
    split.subset(torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[:count])
    for split in (images.train, images.test)
)
mean, std = few.pixels.float().mean(), few.pixels.float().std()


def prepare(x):
    return ((x.float() - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def answers(net, x):
    return torch.cat([net(prepare(part)).argmax(1) for part in x.split(500)])


nets, errors = {}, {}
for way in WAYS:
    nets[way] = train(way, few.pixels, few.labels, prepare, epochs, seed=seed)
    errors[way] = [
        (answers(nets[way], split.pixels[:, :, 4:28, 4:28]) != split.labels).float().mean().item()
        for split in (few, test)
    ]
show(*lesson.gaps(errors, few))

# %% [markdown]
# Without augmentation the network knows its images by heart. With it, the training error stays high, and the test error is lower. (Colours may help or hurt here: one seed and 2,000 images cannot show a difference of one point.)
#
# **What has it learned?** To mind less. Measure it: move the test images, mirror them, shift their colours. How many are wrong now, and how many *answers change*?

# %% tags=["nbval-ignore-output"]
x, far = test.pixels, (0, 0.1, 0.2, 0.4, 0.6)
disturbed = {
    "shift": {d: x[:, :, 4:28, 4 + d : 28 + d] for d in range(5)},
    "mirror": {0: x[:, :, 4:28, 4:28], 1: x[:, :, 4:28, 4:28].flip(3)},
    "colours": {s: colors.apply(x, s, torch.Generator().manual_seed(1))[:, :, 4:28, 4:28] for s in far},
}
found = {
    way: {kind: {how: answers(net, y) for how, y in each.items()} for kind, each in disturbed.items()}
    for way, net in nets.items()
}
show(*lesson.invariance(found, test))

# %% [markdown]
# - **Moved:** the errors climb slowly. But without crops nearly half of the answers change within four pixels; with crops, less than a third.
# - **Mirrored:** the error hardly moves, whatever the training was. A mirrored photograph is a photograph, and just as hard. But without reflections about half of the answers change. The error alone would have hidden that.
# - **Colours:** at 0.1, the strength of the paper, few answers change, whatever the training was. So there is little to gain. Against stronger shifts, training with colours helps a little.
#
# ## 5 · Look
#
# The full comparison, recorded: 10,000 images and 60 epochs, all at the same rate, 0.005, which falls to a tenth after 50 epochs. The open marks come from a second record, which stopped after 24 epochs (its rate fell after 20) and compared more ways. If you wrote down a guess, it is the dotted line.

# %%
show(*lesson.errors_by_epoch(load("augmentation-long"), load("augmentation"), my_error))

# %% [markdown]
# The two records seem to disagree, and both are right. Crops and reflections are *behind* for the first ten epochs or so, because hardly any version comes twice; if the rate falls after 20 epochs, most of the gain is still to come. Our headline is the longer one: there, the network without
# augmentation has nothing left to learn. (Those with it do: their gain may still grow.)
#
# Colours on top of crops and reflections save about a point in the long record, in each of three seeds. Alone, in the short one, they do nothing. ([What rotation, scaling, noise and upside-down images do](further/04_other_changes.ipynb).)
#
# ## 6 · What the 2012 code did
#
# - **One crop for 32 images.** The ImageNet code draws one place and direction for 32 images in a row, so a batch of 128 has at most four different crops. [Does that hurt?](further/04_one_crop_for_32_images.ipynb)
# - **Divided by 1.1.** While the colours are shifted, each training image is divided by 1.1 as well; test images are not. A comment gives the reason: the scale of training images should stay near that of test images. (Does 1.1 do that? Exercise 04.2.)
# - **The colours were switched off** near epoch 67 of about 90, before the last fall of the rate. The paper does not say so.
# - **Ten patches at test time.** The paper averages the softmax outputs on the four corners, the middle, and their reflections. That is *test-time augmentation*, before it had the name, and §4.1 describes it. [What it gains](further/04_ten_patches.ipynb).
# - **No time at all?** A CPU made the next batch while the GPU trained. On one processor, as here, a batch costs less than a hundredth of a step of the paper's network.
#
# ## 7 · Verdict

# %%
verdict(
    ["aug-2048", "aug-needed", "aug-free", "pca-formula", "pca-gain"],
    why={
        "aug-2048": "33 places a side, not 32.",
        "aug-needed": "The small version agrees: without augmentation every training image ends up right, and the test error is "
        "more than eight points higher. It has 65 parameters for each image, the paper's network 50.",
        "aug-free": "With a GPU for the network the claim is about an idle CPU. On one processor augmentation takes its "
        "share, and the share is small. A thread of its own does not help where no core is idle.",
        "pca-formula": "The formula needs a unit. Taken literally for pixels of 0–255 it destroys the image; the code "
        "multiplies what it calls standard deviations.",
        "pca-gain": "The small version agrees in size: about one point, in each of three seeds, with the standard deviations "
        "of the 2012 code as strengths.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("04.1")` helps; solutions are in `notebooks/solutions/`.
#
# **04.1** (5 minutes). Training lasts 90 epochs, and in each of them an image gets one of its 2178 versions at random. How many *different* versions of an image does the network see, on average? (So what does the factor of 2048 say?)

# %%
answer_1 = None
check("04.1", answer_1)

# %% [markdown]
# **04.2** (10 minutes). By how much must training images be divided so that the standard deviation of their pixels, in each channel and over the whole set, is that of the test images again? Colours are shifted with $\sqrt{\lambda_i}$ and $\sigma = 0.1$, as in section 2. (When would 1.1 be right? And which images have
# more contrast after a division by 1.1, those of the training or those of the test?)

# %%
answer_2 = None
check("04.2", answer_2)

# %% [markdown]
# **04.3** (10 minutes, a bug hunt). `patches` holds the ten patches of each of $N$ images, image after image: (10N, 3, 224, 224). On one image the code below gives sensible probabilities; on a test set it is hardly better than guessing. And even on one image they are not the paper's. Find both mistakes, and
# write a function of the logits, (10N, classes), that returns what the paper averages, (N, classes).
#
# ```python
# logits = net(patches)                        # (10N, classes)
# mean = logits.view(10, -1, classes).mean(0)  # (N, classes)
# probabilities = mean.softmax(1)
# ```


# %%
def averaged(logits): ...


answer_3 = None  # averaged
check("04.3", answer_3)

# %% [markdown]
# **04.4** (10 minutes, change it and run again). Reflections need no training: make a network that *cannot* tell an image from its mirror image. Write a function of any network `net` and of `x` (N, 3, h, w) that averages two outputs and is the same for `x` and for its reflection. Then try it
# on `nets["no augmentation"]`: how many answers change now when the images are mirrored, and what becomes of the error?


# %%
def without_sides(net, x): ...


answer_4 = None  # without_sides
check("04.4", answer_4)

# %% [markdown]
# **04.5** (15 minutes, hard). Are the eigenvectors needed at all? Find colours of the same distribution without them: a matrix $A$, lower triangular and with a positive diagonal, so that $0.1\, A \mathbf z$ with $\mathbf z \sim \mathcal N(0, I)$ is distributed like the shifts with $\sqrt{\lambda_i}$. Write a function of
# $C$ (3, 3, float64) that returns $A$.

# %%
answer_5 = None  # lambda C: ...
check("04.5", answer_5)

# %% [markdown]
# **To discuss.** Convolutions move with the image: shift the input by a pixel, and the maps shift too. Why, then, did the network without crops mind a shift of four pixels? Which of its layers would you replace, so that it could not?
#
# **Go deeper:** [Other changes, and a cloud of colours](further/04_other_changes.ipynb) · [One crop for 32 images](further/04_one_crop_for_32_images.ipynb) · [Ten patches](further/04_ten_patches.ipynb). **Repeat the record:** `alexnet-edu experiment augmentation` and
# `augmentation-long`. **Next:** [05](05_two_gpus.ipynb), one network on two devices.
