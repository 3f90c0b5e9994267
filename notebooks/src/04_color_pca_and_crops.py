# %% [markdown]
# # 04 · Crops, reflections, colour PCA: more images out of the same ones
#
# **The claims** (§4.1). The network has 60 million parameters, and 1.2 million images are too few for it. Two cheap
# tricks make more of them. (1) From each $256 \times 256$ image random crops of $224 \times 224$ are taken and mirrored half of
# the time: this multiplies the training set by 2048, and without it the network *overfits substantially*. (2) The colours
# of each image are shifted along the principal components of all pixels' colours: this lowers the top-1 error by
# *over 1 percent*. Both are made on the CPU while the GPU trains, so they cost *no time*.
#
# **What to know first.** What a training and a test error are. What an eigenvector of a symmetric matrix is.
#
# **What you will have at the end.** Both tricks on whole batches, the three readings of one formula on a real photograph, an
# answer to "2048 or 2178?", and seven ways to change training images compared on CIFAR-10, with three seeds each.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | two networks on 600 images of the synthetic stand-in, two epochs (this is what tests use) | seconds |
# | `laptop` | two networks live on 10,000 images of real CIFAR-10, 8 epochs | about 2 minutes on two cores |
# | `gpu`, `paper` | two networks, 24 epochs | about 5 minutes on two cores |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. The full experiment was recorded earlier. It stands beside your own run, and it is
# always labelled *recorded*.

# %%
import itertools

import matplotlib.pyplot as plt
import torch

from alexnet_edu import paper
from alexnet_edu.data.augment import STRENGTHS, TEN_PATCHES, ColorPCA, random_crop_and_flip, ten_crop
from alexnet_edu.data.cifar10 import figure_note, load_cifar10, runs_dir
from alexnet_edu.data.images import ImageSet
from alexnet_edu.environment import current_scale, results_dir
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import augmentation as lesson
from alexnet_edu.show.photograph import photograph
from alexnet_edu.studies import augmenting, study
from alexnet_edu.studies.ablations import STUDIES
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.record import load, table
from alexnet_edu.training.loop import error_rate

record = load("augmentation")  # eight ways, 24 epochs
long = load("augmentation-long")  # three of them, 60
images = load_cifar10()
note = f" ({figure_note(images)})" if images.train.synthetic else ""
portrait = photograph()  # (3, 256, 256) uint8; photograph("your.jpg") takes yours

# %% [markdown]
# ## 1 · Predict
#
# A small AlexNet is trained on 10,000 images of CIFAR-10, once as they are, once with random crops and reflections.
# **How many points of test error do crops and reflections save?** And a second question. The formula for the colours has a
# random number with standard deviation 0.1 in it. **By how many grey levels (of 255) does it shift an image, typically?**

# %%
my_points_saved = None  # for example 5
my_grey_levels = None  # for example 3

# %% [markdown]
# ## 2 · Derive
#
# **Crops.** One image, one draw. A batch draws for each of its images.


# %%
def crop_one(image, top, left, mirrored, size):
    """image: (3, H, W) -> (3, size, size)."""
    crop = image[:, top : top + size, left : left + size]
    return crop.flip(2) if mirrored else crop


def crop_batch(images, size, generator):
    """images: (N, 3, H, W) -> (N, 3, size, size), a draw for each image."""
    n, _, h, w = images.shape
    tops = torch.randint(h - size + 1, (n,), generator=generator)
    lefts = torch.randint(w - size + 1, (n,), generator=generator)
    mirrored = torch.randint(2, (n,), generator=generator)
    return torch.stack([crop_one(*one, size) for one in zip(images, tops, lefts, mirrored, strict=True)])


# %% [markdown]
# **2048 or 2178?** A window of 224 pixels has $256 - 224 + 1 = 33$ places along each side: the first one starts at pixel 0,
# the last one at pixel 32. We do not believe it, we count: every crop of the photograph, as bytes.

# %%
places = range(256 - 224 + 1)
crops = {
    crop_one(portrait, top, left, mirrored, 224).contiguous().numpy().tobytes()
    for top in places
    for left in places
    for mirrored in (False, True)
}
print(f"{len(crops):,} different crops; the paper counts {paper.AUGMENTATION_FACTOR:,} = 32 · 32 · 2")
assert len(crops) == 33 * 33 * 2 == 2178
del crops

# %% [markdown]
# The paper's number is that of 32 places a side. The authors' code draws from 33 (`randint(0, 2·border + 1)` with a border
# of 16). So the factor is 2178. Nothing depends on it: crops that overlap by 223 of 224 columns are hardly new images.
#
# **Which pixels are used how often?** A pixel at the border lies in few windows, one in the middle in all.

# %%
figure, axes = plt.subplots(1, 2, figsize=(11, 4.4), gridspec_kw={"wspace": 0.3})
for ax, (side, size) in zip(axes, ((256, 224), (32, 24)), strict=True):
    places = side - size + 1
    used = torch.zeros(side)
    for start in range(places):
        used[start : start + size] += 1 / places
    shown = lesson.draw_use(ax, torch.outer(used, used), f"crops of {size} from {side} pixels")
    figure.colorbar(shown, ax=ax, label="share of the crops that hold the pixel")
    print(
        f"{side} → {size}: a corner is in {used[0] ** 2:.2%} of the crops; all hold {(used > 0.999).sum()} rows"
    )
plt.show()

# %% [markdown]
# **How to read it.** Yellow pixels are in every crop. The test takes the middle (or ten patches, see below), so a network
# that was trained on crops has seen the corners of the images rarely. On CIFAR-10 we crop 24 of 32 pixels, as the authors'
# CIFAR-10 code does. That takes more away: 81 places, 162 variants.
#
# **Colours.** Take all pixels of all training images as points $(r, g, b)$. Their covariance matrix $C$ is $3 \times 3$ and
# symmetric. Its eigenvectors $\mathbf p_1, \mathbf p_2, \mathbf p_3$ are orthogonal and its eigenvalues
# $\lambda_1 \ge \lambda_2 \ge \lambda_3 \ge 0$ are the variances along them. To each image the paper adds, at every pixel,
#
# $$[\mathbf p_1\ \mathbf p_2\ \mathbf p_3]\,[\alpha_1 \lambda_1,\ \alpha_2 \lambda_2,\ \alpha_3 \lambda_3]^\top,
# \qquad \alpha_i \sim \mathcal N(0,\ 0.1),$$
#
# with one draw of $\alpha$ for each use of the image. Where the light changes in strength and colour, the object stays
# the same: that is the idea.

# %%
pixels = images.train.pixels[:2000].double().transpose(0, 1).flatten(1)  # (3, pixels)
mean = pixels.mean(1, keepdim=True)
C = (pixels - mean) @ (pixels - mean).T / pixels.shape[1]  # (3, 3)
eigenvalues, P = torch.linalg.eigh(C)  # ascending; the vectors are columns


def shift_naive(image, alpha, P, strength):
    """image: (3, H, W); alpha, strength: (3,) -> (3, H, W): pixel by pixel."""
    out = image.double().clone()
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            for i in range(3):
                out[:, row, column] += P[:, i] * alpha[i] * strength[i]
    return out


def shift(images, alphas, P, strength):
    """images: (N, 3, H, W); alphas: (N, 3): the same for a batch."""
    return images.double() + ((alphas * strength) @ P.T)[:, :, None, None]


few = images.train.pixels[:3, :, :6, :6]
alphas = 0.1 * torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
naive = torch.stack([shift_naive(x, a, P, eigenvalues.sqrt()) for x, a in zip(few, alphas, strict=True)])
assert torch.allclose(naive, shift(few, alphas, P, eigenvalues.sqrt()), rtol=0, atol=1e-10)

# %% [markdown]
# **What follows from the formula.** Call what multiplies $\alpha_i$ the strength $s_i$, and $\sigma = 0.1$. The shift has mean
# 0 and the covariance
#
# $$P\,\mathrm{diag}(\sigma^2 s_i^2)\,P^\top.$$
#
# - The sign of an eigenvector is arbitrary. It does not matter, because $\alpha_i$ and $-\alpha_i$ are equally likely.
# - All pixels of an image get the same shift, so differences between its pixels, its edges, stay as they are.
# - With $s_i = \sqrt{\lambda_i}$ the covariance is $\sigma^2 P\,\mathrm{diag}(\lambda_i) P^\top = \sigma^2 C$: the shift is
#   distributed like the colours themselves, ten times smaller. With $s_i = \lambda_i$ it is $\sigma^2 C^2$, and $C^2$ has the
#   unit (grey level)$^4$. So the result depends on whether a pixel is counted as 0–255 or as 0–1.
#
# That last line is the trap in the paper's formula. Section 5 shows what each reading does to a photograph.
#
# ## 3 · Bridge
#
# These lines are the package's functions, draw by draw. From here on the package is used.

# %%
some = images.train.pixels[:64]
for size in (24, 32):
    own = crop_batch(some, size, torch.Generator().manual_seed(1))
    assert torch.equal(own, random_crop_and_flip(some, size, torch.Generator().manual_seed(1)))

colors = ColorPCA.fit(images.train.pixels[:2000].split(300))  # in pieces, as one reads a large set
assert torch.allclose(colors.eigenvalues, eigenvalues.flip(0), rtol=1e-9)
overlap = (colors.eigenvectors * P.flip(1)).sum(0).abs()  # |cos| of the angles: the signs are free
assert torch.allclose(overlap, torch.ones(3, dtype=torch.float64), atol=1e-9)

generator = torch.Generator().manual_seed(2)
alphas = 0.1 * torch.randn(64, 3, generator=generator, dtype=torch.float64)
own = shift(some, alphas, colors.eigenvectors, colors.strengths("stdevs"))
theirs = colors.apply(some, 0.1, torch.Generator().manual_seed(2))
assert torch.allclose(own, theirs.double(), atol=1e-4)
assert torch.equal(colors.apply(some, 0.0), some.float())  # σ = 0 changes nothing

shifts = colors.shifts(200_000, torch.Generator().manual_seed(3))  # (200000, 3)
expected = 0.1**2 * C  # for strengths √λ
assert torch.allclose(shifts.T @ shifts / len(shifts), expected, rtol=0, atol=0.02 * expected.max().item())
swapped = ColorPCA(colors.mean, colors.eigenvalues.flip(0), -colors.eigenvectors.flip(1))
other = swapped.shifts(200_000, torch.Generator().manual_seed(4))
assert torch.allclose(other.T @ other / len(other), expected, rtol=0, atol=0.02 * expected.max().item())

first = random_crop_and_flip(theirs, 24, torch.Generator().manual_seed(5))  # colours, then crops
second = colors.apply(
    random_crop_and_flip(some, 24, torch.Generator().manual_seed(5)), 0.1, torch.Generator().manual_seed(2)
)
assert torch.equal(first, second)  # the order makes no difference: crop first, it is less work
print("equal: crops, directions, colours; covariance of 200,000 shifts as derived; order free")

# %% [markdown]
# ## 4 · Run
#
# The network is an AlexNet made small: three convolutions, two hidden layers of 512, no dropout. It has 653,834
# parameters, and it gets 10,000 training images: 65 parameters for each. The paper's network has 50 for each of
# its images. So overfitting is to be expected. Everything is judged on the middle $24 \times 24$ pixels of the test
# images, whatever the training saw.
#
# **Your own run**: one seed that the record does not have, without anything and with all that §4.1 describes.

# %% tags=["nbval-ignore-output"]
scale = current_scale()
train, test, epochs, changes = images.train, images.test, {"quick": 2, "laptop": 8}.get(scale, 24), {}
if scale == "quick":
    train, test, changes = train.subset(torch.arange(600)), test.subset(torch.arange(200)), {"batch_size": 50}
keep = None if scale == "quick" else runs_dir() / "ablations"
ways = STUDIES["augmentation"]
rate = 0.005
device = "cuda" if scale in ("gpu", "paper") and torch.cuda.is_available() else "cpu"
runs = Runs(ImageSet(train, test), keep, device)
live = study.live(ways, {"none": rate, "crops-flips-colour": rate}, runs, epochs, **changes)
prepare = runs.prepare(ways.crop, ways.inputs)
for name, run in live.items():
    errors = {what: run.column(what)[-1] for what in ("train_error", "test_error")}
    assert all(0 <= error <= 1 for error in errors.values())
    print(f"{name}, ε = {rate:g}, {epochs} epochs: test error {errors['test_error']:.1%},", end=" ")
    print(f"training error {errors['train_error']:.1%}{' (synthetic images)' * train.synthetic}")

# %% [markdown]
# A few epochs are too few to overfit much. **The recorded runs**: three fresh seeds each, 60 epochs, $\varepsilon / 10$
# after 50.

# %%
main = long.of(chosen=True, variant=["none", "crops-flips", "crops-flips-colour"])
figure, axes = plt.subplots(1, 2, figsize=(13, 4.8), sharey=True)
for ax, what in zip(axes, ("train_error", "test_error"), strict=True):
    lesson.plots.learning_curves(ax, main.curves, what, lesson.plots.WORDS[what].capitalize())
    ax.set_ylim(bottom=0)
figure.suptitle("What is done to 10,000 training images (recorded, real CIFAR-10; band: all three seeds)")
plt.tight_layout()
plt.show()
print(long.origin())
print()
print(table(long))

# %% [markdown]
# **How to read it.** Training errors are measured on the images as they are, so the three can be compared. A network overfits
# where its training error goes on falling and its test error does not follow.
#
# A seed decides which 10,000 images are taken, their order, and the weights at the start, the same for all variants. So we
# compare seed by seed: what the seed does to both sides cancels.

# %%
pairs = (("crops-flips", "none"), ("crops-flips-colour", "crops-flips"))
changed = {
    (a, what): long.paired_gap(a, b, what) for a, b in pairs for what in ("test_error", "train_error", "gap")
}
print("at the end, seed by seed, in points, with 95% intervals:")
for (a, b), what in itertools.product(pairs, ("test_error", "train_error", "gap")):
    print(f"    {a} against {b}, {lesson.plots.WORDS[what]:28} {changed[a, what].signed}")

# %% [markdown]
# **What came out.** Without augmentation the network learns its 10,000 images by heart: in the end not one of them is wrong, and
# more than 40% of the test images are. With crops and reflections it never gets that far. About a quarter of the
# training images are still wrong after 60 epochs, and the test error is more than eight points lower. "Overfits
# substantially" is no exaggeration. Note the price: crops and reflections are *behind* for the first ten epochs or so. A short
# comparison would have shown the opposite.
#
# Colour PCA saves another point and a bit, in every seed, and the training error does not tell the two apart. That is the
# size of the paper's "over 1%", for a network and images of another kind.

# %%
assert max(long.values("none", "train_error")) < 0.0005
assert min(long.values("none")) > 0.4
assert all(0.2 < error < 0.3 for error in long.values("crops-flips", "train_error"))
assert -10 < changed["crops-flips", "test_error"].value < -8
fifth = main.curves[main.curves["epoch"] == 5].pivot(index="seed", columns="variant", values="test_error")
assert (fifth["crops-flips"] > fifth["none"]).all()
assert changed["crops-flips-colour", "test_error"].high < -0.5
assert -1.6 < changed["crops-flips-colour", "test_error"].value < -1
assert (
    changed["crops-flips-colour", "train_error"].low < 0 < changed["crops-flips-colour", "train_error"].high
)

# %% [markdown]
# **Other ways that readers know.** Which of these keep the label of an image? A car that is turned by 15 degrees, made a
# little larger, or covered with noise is a car. A car on its roof is rare in photographs, and a 6 that is turned around is
# a 9: whether a change preserves the label depends on the classes. Each was tried alone, at one rate, against none.
#
# | change | keeps the label? | in the paper? |
# |---|---|---|
# | crops and reflections | yes, if the object stays inside, and for photographs; not for text | yes |
# | colour PCA | yes, while it is small | yes |
# | rotation by up to 15° | yes | no |
# | scaling by 0.8–1.25 | yes | no |
# | noise, 10 grey levels | yes | no |
# | vertical reflections | mostly, but such images do not occur in the test | no |

# %%
by_name = {name: record.paired_gap(name, "none") for name in record.variants if name != "none"}
by_name = dict(sorted(by_name.items(), key=lambda pair: pair[1].value))
titles = {name: record.of(variant=name).runs["title"].iloc[0] for name in by_name}
in_paper = [titles[name] for name in ("crops-flips", "crops-flips-colour", "colour")]
figure, ax = plt.subplots(figsize=(10, 4.8))
gains = {titles[name]: (found.value, found.low, found.high) for name, found in by_name.items()}
lesson.plots.intervals(ax, gains, filled=in_paper)
lesson.plots.level(ax, 0, axis="x", line="-")
ax.set_xlabel(
    "test error minus that without, points (seed by seed, 95% interval, three seeds); left is better"
)
ax.set_title("Each change against none, 24 epochs (recorded, real CIFAR-10); filled: in the paper")
plt.tight_layout()
plt.show()
for name, found in by_name.items():
    print(f"{titles[name]:42} {found.signed}")

# %% [markdown]
# **What came out.** After 24 epochs only two of the seven differ from none beyond doubt, and both are *worse*: noise, and
# vertical reflections, which halve the network's practice with images as they are. A change that keeps the label
# is not enough: the changed images should look like those of the test. Rotation and scaling point the right way, like crops
# and reflections, and three seeds of this length cannot tell more. (After 60 epochs crops and reflections were eight points
# ahead: each of these makes learning slower first.) Colour PCA alone does nothing here; on top of crops and reflections,
# trained longer, it did.

# %%
assert min(by_name["noise"].low, by_name["upside-down"].low) > 1
assert all(one.low < 0 < one.high for name, one in by_name.items() if name not in ("noise", "upside-down"))
assert all(by_name[name].value < -0.5 for name in ("rotation", "scaling", "crops-flips"))


# %% [markdown]
# ## 5 · Look
#
# **One formula, three readings.** The same six draws of $\alpha$ on one photograph, with each of the three strengths:
# $\sqrt{\lambda}$, $\lambda$ of pixels 0–255, $\lambda$ of pixels 0–1. Look first. Which one would you train with?

# %% tags=["nbval-ignore-output"]
colors = ColorPCA.fit(images.train.pixels)
kinds = dict(zip(STRENGTHS, ("√λ", "λ of pixels 0–255", "λ of pixels 0–1"), strict=True))
figure, axes = plt.subplots(3, 7, figsize=(13, 6.2))
for row, (kind, words) in zip(axes, kinds.items(), strict=True):
    drawn = colors.apply(portrait.expand(6, -1, -1, -1), 0.1, torch.Generator().manual_seed(7), kind=kind)
    lesson.plots.images(row[0], portrait, "as it is")
    size = 0.1 * colors.strengths(kind)[0]
    row[0].set_ylabel(f"{words}\n±{size:,.{0 if size > 20 else 1}f} grey levels")
    for ax, picture in zip(row[1:], drawn, strict=True):
        change = (picture - portrait).mean((1, 2))  # the same at every pixel
        lesson.plots.images(ax, picture, " ".join(f"{x:+.{0 if size > 20 else 1}f}" for x in change.tolist()))
figure.suptitle(
    f"Six draws, three readings; above each picture what is added to R, G, B{figure_note(images)}"
)
plt.tight_layout()
plt.show()

# %% tags=["nbval-ignore-output"]
for i in range(3):
    p = ", ".join(f"{x:+.3f}" for x in colors.eigenvectors[:, i].tolist())
    typical = [0.1 * colors.strengths(kind)[i].item() for kind in kinds]
    print(f"p{i + 1} = ({p}), √λ = {colors.eigenvalues[i].sqrt():.1f} grey levels; shift along it:", end=" ")
    print(", ".join(f"{t:.3g} ({words})" for t, words in zip(typical, kinds.values(), strict=True)))
assert (colors.eigenvectors[:, 0].sign() == colors.eigenvectors[0, 0].sign()).all()  # p1: light and dark
typical = [0.1 * colors.strengths(kind)[0].item() for kind in kinds]
assert typical[1] > 255
assert 1 < typical[2] < typical[0] < 25

# %% [markdown]
# **How to read it.** $\mathbf p_1$ has three components of one sign and nearly one size: it is lighter and darker.
# $\mathbf p_2$ is blue against red, the colour of the light; $\mathbf p_3$ is green against both, and hardly occurs.
#
# With $\lambda$ of pixels 0–255, read literally, the typical shift is larger than the whole scale, and the photograph
# becomes one white or black sheet. Nobody trained with that. $\lambda$ of pixels 0–1 and $\sqrt \lambda$ both give something
# that one can look at, and they differ by a factor of two along $\mathbf p_1$, more along the others. The authors' code calls what it
# multiplies *stdevs*, standard deviations. How the stored numbers were computed is not in the release. The package takes
# $\sqrt \lambda$ unless told otherwise.
#
# **The cloud of colours.** Each point is a pixel of CIFAR-10. The arrows are $\pm\sqrt{\lambda_i}\,\mathbf p_i$.

# %% tags=["nbval-ignore-output"]
pick = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(0))[:2500]
dots = images.train.pixels[pick, :, 16, 16]  # (2500, 3): the pixel in the middle of each
figure, axes = plt.subplots(1, 2, figsize=(11, 5.2))
for ax, channels in zip(axes, ((0, 1), (0, 2)), strict=True):
    lesson.draw_color_cloud(ax, dots, colors.mean, colors.eigenvectors, colors.eigenvalues.sqrt(), channels)
figure.suptitle(f"Colours of 2,500 pixels and their principal directions{note}")
plt.tight_layout()
plt.show()

# %% [markdown]
# **Now you.** Move the $\alpha$'s. $\pm 0.1$ is one standard deviation. At which $\alpha_1$ would you no longer call it the same
# photograph? Then choose $\lambda$ of pixels 0–255 and move $\alpha_3$ by one step.

# %% tags=["nbval-ignore-output"]
lesson.color_explorer(portrait, colors)

# %% [markdown]
# **A crop.** All 2178 of them, one at a time. The dashed frame is the middle, which the test takes.

# %%
lesson.crop_explorer(portrait)

# %% [markdown]
# **Ten patches.** In the test the paper takes five patches (the corners and the middle) and their reflections, and
# averages the ten softmax outputs. Notebook 11 measures what that gains. Here you see it happen, for the network that you
# just trained. Look for an image where the patches disagree.

# %% tags=["nbval-ignore-output"]
network = live["crops-flips-colour"].network.cpu().eval()


@torch.no_grad()
def probabilities(patches):
    """patches: uint8 (M, 3, 24, 24) -> (M, 10)."""
    return network(prepare(patches)).softmax(1)


chosen = torch.randperm(len(test), generator=torch.Generator().manual_seed(1))[:12]
lesson.patch_explorer(test.subset(chosen), 24, probabilities)

# %% tags=["nbval-ignore-output"]
judged = test.subset(torch.randperm(len(test), generator=torch.Generator().manual_seed(2))[:2000])
wrong = {"the middle patch": 0, "ten patches averaged": 0}
for pixels, labels in zip(judged.pixels.split(250), judged.labels.split(250), strict=True):
    found = probabilities(ten_crop(pixels, 24).flatten(0, 1)).view(len(pixels), 10, -1)
    wrong["the middle patch"] += (found[:, TEN_PATCHES.index("centre")].argmax(1) != labels).sum().item()
    wrong["ten patches averaged"] += (found.mean(1).argmax(1) != labels).sum().item()
for words, count in wrong.items():
    print(f"{words}: test error {count / len(judged):.1%} of {len(judged):,} images (your run)")

# %% [markdown]
# ## 6 · What the 2012 code did
#
# **One crop for 32 images.** The ImageNet code draws one place and one direction for 32 images in a row
# (`crop_chunk`, `convdata_jpeg.py` 77 and 238). A batch of 128 has four crops, not 128. Over many batches every image still
# meets every crop. So what does it cost? First the count of different crops in a batch: with draws of its own for each image the
# expected number is $2178\,(1 - (1 - 1/2178)^{128})$.

# %%
expected = 2178 * (1 - (1 - 1 / 2178) ** 128)
marked = torch.zeros(128, 1, 256, 256)  # every image counts its pixels, so a crop tells where it was cut
marked[:] = torch.arange(256 * 256).view(256, 256)
counts = {}
for shared in (1, 32):
    draws = [
        random_crop_and_flip(marked, 224, torch.Generator().manual_seed(s), shared=shared) for s in range(20)
    ]
    counts[shared] = [len({(x[0, 0, 0].item(), x[0, 0, -1].item()) for x in batch}) for batch in draws]
    print(
        f"{shared:2} images share a draw: {sum(counts[shared]) / 20:6.2f} different crops in a batch of 128"
    )
print(f"expected with draws of their own: {expected:.2f}")
assert abs(sum(counts[1]) / 20 - expected) < 2
assert max(counts[32]) <= 4

# %% [markdown]
# Then what matters for training: the gradient. Let $f(x, c)$ be the gradient for image $x$ and crop $c$. With own draws the crops
# add variance $v/128$ to the batch's mean gradient, $v$ being the variance that the crop makes for one image. With shared draws it is
# between $v/128$ (all images react in their own way) and $v/4$ (all react alike): up to 32 times as much. Where it lies is
# a fact about images, so we measure it: one batch, many draws, the network that you just trained.

# %% tags=["nbval-ignore-output"]
pick = torch.randperm(len(train), generator=torch.Generator().manual_seed(3))[:128]
batch = train.subset(pick)
spread_of = {
    shared: augmenting.gradient_spread(
        network, batch.pixels, batch.labels, prepare, 24, shared=shared, draws={"quick": 8}.get(scale, 60)
    )
    for shared in (1, 32)
}
for shared, value in spread_of.items():
    print(
        f"{shared:2} images share a crop: variance of the batch's gradient {value:.3g} of its squared length"
    )
print(f"ratio {spread_of[32] / spread_of[1]:.1f}; possible are 1 to 32")
assert 0.5 < spread_of[32] / spread_of[1] < 40

# %% [markdown]
# **How to read it.** Images react mostly in their own way to the same crop, so sharing it costs less than one might fear. It
# saved the authors work: 32 images in a row are cut out of one array in one step.
#
# **The division by 1.1.** While the noise is on, the code divides each training image by 1.1 (`convdata_jpeg.py` 179). Test images are
# not divided. No reason is given. One effect is plain: shifted or not, training images have 10% less contrast than test
# images. Does a network mind? The one you trained never saw the division:

# %% tags=["nbval-ignore-output"]
few = test.subset(torch.randperm(len(test), generator=torch.Generator().manual_seed(4))[:2000])
for divisor in (1 / 1.1, 1.0, 1.1):
    error = error_rate(
        network,
        few.pixels,
        few.labels,
        prepare=lambda x, d=divisor: prepare(x.float()) / d,
        precision="float32",
    )
    print(f"contrast divided by {divisor:.2f}: test error {error:.1%} of {len(few):,} images (your run)")

# %% [markdown]
# The differences are small. The first to notice would be the normalization and the biases, which know a scale; a network of
# ReLUs without biases would not notice at all, because $\max(0, c z) = c \max(0, z)$.
#
# **The noise was switched off.** Near epoch 67 of about 90 the authors set the standard deviation of $\alpha$ to 0, in
# the same edit that slowed down conv1, before the last fall of the learning rate. So the last quarter of the
# training saw the true colours. The paper does not say so. `LOGGED["145"].noise_off` in `alexnet_edu.training.schedules`
# keeps it for those who want to repeat it.
#
# **No time at all?** In 2012 the CPU made the next batch while the GPU trained on this one. On a machine without a GPU one
# processor does both. The record below timed the paper's full network at 128 images a step: in turn, and with the next batch
# made in another thread.

# %%
cost = load("augmenting")
seconds = dict(cost.tables["seconds"].itertuples(index=False, name=None))
for name, value in seconds.items():
    print(
        f"{name:13} {value:7.3f} s   {value / seconds['step']:7.2%} of a step  (recorded, {cost.settings['batch']} images)"
    )
print(f"({', '.join(cost.provenance['hardware'])}, {cost.provenance['threads'][0]} threads)")
assert seconds["augment"] < 0.02 * seconds["step"]
assert seconds["side by side"] > seconds["in turn"]

# %% [markdown]
# **How to read it.** Making a batch takes less than a hundredth of the time of a step, because the step is so much more
# work. So on a processor it is nearly free, too. A thread of its own gains nothing here, it even costs: both
# cores already work on the network, and a third thread gets in their way. In 2012 the CPU was idle meanwhile.

# %% [markdown]
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("04.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **04.1** (5 minutes, easy). Many re-implementations cut $227 \times 227$ pixels out of $256 \times 256$, and mirror. How many
# different crops is that?

# %%
answer_1 = None
check("04.1", answer_1)

# %% [markdown]
# **04.2** (10 minutes, medium). A well-known list of constants gives $\lambda_1 = 0.2175$ for pixels of 0–1. What is the
# standard deviation of the shift along $\mathbf p_1$, in grey levels of 0–255, if $\alpha$ multiplies the *standard deviation* and
# $\sigma = 0.1$?

# %%
answer_2 = None
check("04.2", answer_2)

# %% [markdown]
# **04.3** (15 minutes, medium). Write a function of `images` (N, 3, H, W), `P` (3, 3) with the eigenvectors as columns,
# `s` (3,) and `alpha` (N, 3) that returns the shifted images, without a loop.


# %%
def recolor(images, P, s, alpha): ...


answer_3 = None  # recolor
check("04.3", answer_3)

# %% [markdown]
# **04.4** (15 minutes, medium). Write a function of `images` (N, C, H, W) and `size` that returns (N, 10, C, size, size): top left,
# top right, centre, bottom left, bottom right, then the same five mirrored. Where the border is odd, the centre starts at half
# of it, rounded down.


# %%
def ten_patches(images, size): ...


answer_4 = None  # ten_patches
check("04.4", answer_4)

# %% [markdown]
# **04.5** (15 minutes, harder). All pixels get the covariance $\sigma^2 C$ when $s_i = \sqrt{\lambda_i}$. So there is a way
# to draw shifts of the same distribution without any eigenvector: find a matrix $A$ with $A A^\top = C$ and add $\sigma A z$, where
# $z \sim \mathcal N(0, I)$. Write a function of `C` (3, 3, float64) that returns such an $A$, lower triangular with a positive diagonal.

# %%
answer_5 = None  # lambda C: ...
check("04.5", answer_5)

# %% [markdown]
# ## 8 · Verdict

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

# %%
if my_points_saved is not None:
    saved = -changed["crops-flips", "test_error"].value
    print(f"points saved: you predicted {my_points_saved:g}, measured {saved:.1f} (recorded)")
if my_grey_levels is not None:
    shift_size = 0.1 * cost.tables["colours"]["stdevs"][0]
    print(
        f"grey levels: you predicted {my_grey_levels:g}; along p1 it is {shift_size:.1f} with √λ (recorded)"
    )

# %% [markdown]
# **To repeat the record**: `alexnet-edu experiment augmentation`. It can be killed at any moment, goes on when called again, and
# writes `data/results/augmentation.json`.
#
# **Next**: notebook 05, two GPUs: one network on two devices.
