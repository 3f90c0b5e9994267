# %% [markdown]
# # 11 · Results: ten patches, five networks, one that had seen more
#
# **The claims** (§4.1, §6, Table 2). Three things lower the error of the network of §3 further. (1) The softmax outputs for **ten patches** of a test image are averaged: 37.5% / 17.0% (top-1 / top-5, ILSVRC-2010 test)
# in place of 39.0% / 18.3%. (2) **Five networks** are averaged: 38.1% / 16.4% in place of 40.7% / 18.2% (ILSVRC-2012
# validation). (3) One network gets a **sixth convolutional layer and is pre-trained** on all of ImageNet (fall 2011), then
# fine-tuned: 39.0% / 16.6%. Two such networks with the five: 36.7% / 15.4%, and 15.3% top-5 on the test images, where the
# second-best entry had 26.2%.
#
# **What to know first.** Softmax and cross-entropy. What a training and a test error are. Notebook 04 shows the ten patches.
#
# **What you will have at the end.** The three gains measured on CIFAR-10, each with an interval; the reason why
# an average can be right where every one of its members is wrong; how much of Table 2 is the sum of its parts; and what
# the authors' notes hold that the paper does not.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | nine tiny networks on 600 images of the synthetic stand-in (this is what tests use) | under a minute |
# | `laptop` | eleven networks live on 25,000 images of real CIFAR-10 | about 4 minutes on two cores |
# | `gpu`, `paper` | the same with all 50,000 images, trained longer | about 15 minutes on two cores |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. The full experiment was recorded earlier: ten networks on all classes, and on two
# halves of the classes the networks of Table 2. It stands beside your own run, and it is always labelled *recorded*.

# %%
import matplotlib.pyplot as plt
import torch

from alexnet_edu import paper
from alexnet_edu.data.augment import TEN_PATCHES, ten_crop
from alexnet_edu.data.cifar10 import figure_note, load_cifar10
from alexnet_edu.data.images import ImageSet
from alexnet_edu.environment import current_scale, results_dir
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.claims import BEFORE_THE_CONTEST, RUNS_2012
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import results as lesson
from alexnet_edu.model.architecture import count, variant
from alexnet_edu.studies import ensemble_record as results
from alexnet_edu.studies import ensembles
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.ensemble_numbers import VIEWS
from alexnet_edu.studies.ensembles import Plan
from alexnet_edu.studies.record import load, spread
from alexnet_edu.training.predictions import average, contest_lines, log_losses, top_errors

record = load("results")
images = load_cifar10()
note = f" ({figure_note(images)})" if images.synthetic else ""

# %% [markdown]
# ## 1 · Predict
#
# A small AlexNet on CIFAR-10 errs on about a quarter of the test images. **How many points does it gain when ten patches
# are averaged? How many when five networks, alike but for the seed, are averaged?** Then a harder task: five classes with
# 500 images each. **How many points does it gain there to have learned the *other* five classes first?**

# %%
my_points_by_patches = None  # for example 1
my_points_by_networks = None  # for example 3
my_points_by_pre_training = None  # for example 5; negative if you think that it hurts

# %% [markdown]
# ## 2 · Derive
#
# $M$ predictions for the same image, from $M$ networks or for $M$ patches: $p_m(c)$ is what the $m$-th says to class $c$. The
# paper averages them, $\bar p(c) = \frac1M \sum_m p_m(c)$, and takes the largest.


# %%
def average_naive(predictions):
    """predictions: M tensors (N, C) -> (N, C)."""
    total = torch.zeros_like(predictions[0])
    for n in range(total.shape[0]):
        for c in range(total.shape[1]):
            total[n, c] = sum(p[n, c] for p in predictions) / len(predictions)
    return total


def average_vectorized(predictions):
    """predictions: (M, N, C) -> (N, C)."""
    return predictions.mean(0)


generator = torch.Generator().manual_seed(0)
some = (2 * torch.randn(5, 8, 4, generator=generator, dtype=torch.float64)).softmax(2)  # M = 5, N = 8, C = 4
assert torch.allclose(average_naive(some), average_vectorized(some), rtol=1e-14)

# %% [markdown]
# **Right where each is wrong.** Two networks look at a cat. One takes it for a dog, the other for a frog, and both have the cat as
# a close second.

# %%
cat = torch.tensor([[0.45, 0.50, 0.05], [0.45, 0.05, 0.50]])  # cat, dog, frog: two networks
names = ("cat", "dog", "frog")
means = ", ".join(f"{name} {p:.3f}" for name, p in zip(names, cat.mean(0).tolist(), strict=True))
print(f"they say {' and '.join(names[i] for i in cat.argmax(1))}; the average: {means}")
assert (cat.argmax(1) != 0).all()
assert cat.mean(0).argmax() == 0

# %% [markdown]
# They agree about what the cat looks like and differ in their mistakes. Averaging keeps what is common and thins out what is not.
# Three things follow by arithmetic:
#
# 1. **The average is never more surprised than its members are on the mean.** $-\log$ is convex, so
#    $-\log \bar p(y) \le \frac1M \sum_m -\log p_m(y)$ for every image (Jensen). This is a promise for the cross-entropy.
# 2. **There is no such promise for the error.** Two networks can be right by a little and the third wrong by a lot: the
#    average is then wrong. Whether the gains outweigh the losses has to be measured.
# 3. **Alike networks gain nothing.** If the scores of $M$ networks have the variance $\sigma^2$ and the correlation $\rho$ in pairs,
#    their mean has the variance $\sigma^2 \left(\rho + \frac{1-\rho}{M}\right)$. Identical networks have $\rho = 1$. And
#    $\rho$ is what is left however many are taken.

# %%
labels = torch.arange(8) % 4
each = torch.stack([-p[torch.arange(8), labels].log() for p in some])  # (5, 8)
assert (-some.mean(0)[torch.arange(8), labels].log() <= each.mean(0)).all()  # 1

loud = torch.tensor([[0.55, 0.45], [0.55, 0.45], [0.10, 0.90]])  # class 0 is right
assert (loud.argmax(1) == 0).sum() == 2  # most are right
assert loud.mean(0).argmax() == 1  # 2: and the average is wrong

rho, M = 0.6, 5
shared, own = torch.randn(1, 200_000, generator=generator), torch.randn(M, 200_000, generator=generator)
scores = rho**0.5 * shared + (1 - rho) ** 0.5 * own  # variance 1, correlation ρ
assert abs(scores.mean(0).var() - (rho + (1 - rho) / M)) < 0.01  # 3
print(
    f"variance left with ρ = {rho}: {rho + (1 - rho) / 5:.2f} of one with 5 networks, {rho} with infinitely many"
)

# %% [markdown]
# ## 3 · Bridge
#
# These lines are the package's functions. Where no two classes tie, `top_errors` is the comparison with the largest; where
# they tie, section 6 says what happens. And the sixth convolution is a variant of the table of layers.

# %%
assert torch.allclose(average(some), average_vectorized(some), rtol=1e-14)
assert torch.equal(top_errors(some[0], labels, 1), (some[0].argmax(1) != labels).double())
assert torch.allclose(log_losses(some[0], labels), each[0])

pixels = images.test.pixels[:4]
for place, name in enumerate(TEN_PATCHES[:5]):
    mirrored = ten_crop(pixels, 24)[:, place + 5]
    assert torch.equal(mirrored, ten_crop(pixels, 24)[:, place].flip(3)), name

paper_net, sixth = variant("paper"), variant("conv6")
added = next(size for size in count(sixth) if size.name == "conv6")
totals = [sum(size.parameters for size in count(table)) for table in (paper_net, sixth)]
work = [sum(size.multiply_adds for size in count(table)) for table in (paper_net, sixth)]
assert totals == [60_965_224, 61_555_304]
assert work[1] == 745_640_480
print(
    f"conv6 reads {added.inputs} from both columns: {added.parameters:,} parameters more, {totals[1]:,} in all,"
)
print(f"and {work[1] / work[0] - 1:.1%} more multiply-adds")

# %% [markdown]
# ## 4 · Run
#
# The network is an AlexNet made small, **in two columns** that read each other where the paper's do: three convolutions, two
# hidden layers of 512 with dropout, 628,234 parameters. It is trained by the rule of §5 on random crops of $24 \times 24$
# pixels, mirrored half of the time. There are two experiments:
#
# - **All classes**: networks that differ by their seed alone, for patches and ensembles.
# - **Problems**: five of the ten classes, drawn at random, with few images of each, and the four networks of Table 2.
#   "\*" has a sixth convolution over the last pooling layer. It learns the *other* five classes from all their images
#   first; then its classifier is drawn anew, and it is fine-tuned on the few.
#
# **Your own run** has fewer networks and fewer images. The learning rates are those that the recorded search chose.

# %% tags=["nbval-ignore-output"]
scale = current_scale()
plans = {
    "quick": Plan(2, 2, problems=1, few=10, source_epochs=1, few_epochs=2, plain=2, starred=1),
    "laptop": Plan(3, 6, problems=1, few=200, source_epochs=5, few_epochs=30, plain=3, starred=1),
}
plan = plans.get(scale, Plan(5, 8, problems=1, few=500, source_epochs=8, few_epochs=30, plain=5, starred=2))
drawn = torch.Generator().manual_seed(2012)
sizes = {"quick": (600, 200), "laptop": (25_000, 2_000)}.get(scale, (len(images.train), len(images.test)))
train, test = (
    split.subset(torch.randperm(len(split), generator=drawn)[:size])
    for split, size in zip((images.train, images.test), sizes, strict=True)
)
searches = record.tables["searches"].sort_values("held_out_error", kind="stable")
rates = {kind: found["rate"].iloc[0] for kind, found in searches.groupby("variant")}
device = "cuda" if scale in ("gpu", "paper") and torch.cuda.is_available() else "cpu"
live, trained = ensembles.live(plan, rates, Runs(ImageSet(train, test), None, device))

patches = {view: results.view_errors(live, view) for view in ("centre", "ten")}
own_note = f"(your run, {len(test):,} test images{', synthetic' * test.synthetic})"
print(
    f"all classes {own_note}: one network, centre {spread(patches['centre'])}; ten patches {spread(patches['ten'])};"
)
print(f"    {plan.networks} networks averaged, ten patches {results.groups(live, 'ten')[0]['average']:.1%}")
print(f"{', '.join(live.settings['problems'][0]['target'])}, {plan.few} images each, ten patches:")
for kind, words in results.KINDS.items():
    print(f"    {words}: {spread(results.network_errors(live, kind, 1))}")
print(f"    {plan.plain} from scratch averaged: {results.mixed_errors(live, plan.plain, 0)[0][0]:.1%}")
assert all(0 <= error <= 1 for errors in patches.values() for error in errors)

# %% [markdown]
# A few networks, trained for a short time, say little. (A network that knows little gains little from its corners, too.) And one
# problem is one draw of classes and images. **The recorded runs:**

# %%
print(record.origin())
for kind, tried in record.tables["searches"].groupby("variant", sort=False):
    pairs = tried[["rate", "held_out_error"]].to_numpy()
    text = ", ".join(f"{error:.1%} at ε = {rate:g}" for rate, error in pairs)
    print(f"held-out error, {results.KINDS[kind]}: {text}")

# %% [markdown]
# **(1) Ten patches.** Each line is one network: what it gains from more patches, without any training.

# %%
patches = {view: results.view_errors(record, view) for view in VIEWS}
alone = record.tables["places"].set_index("place")["error"]
labels_of_views = {
    "centre": "the centre",
    "centre and its reflection": "and its\nreflection",
    "five": "five\nplaces",
    "ten": "five places and\nreflections: ten",
}
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), gridspec_kw={"width_ratios": [1.25, 1]})
lesson.draw_paired(axes[0], {labels_of_views[view]: errors for view, errors in patches.items()})
axes[0].set_ylabel("test error")
axes[0].set_title("Which patches are averaged (each line a network)")
axes[1].barh(range(10), alone, color="#56B4E9", edgecolor="#4D4D4D", linewidth=0.6)
axes[1].set_yticks(range(10), TEN_PATCHES)
axes[1].invert_yaxis()
axes[1].xaxis.set_major_formatter("{x:.0%}")
axes[1].set_xlabel("test error of this patch alone, mean of ten networks")
axes[1].set_title("Each patch alone")
figure.suptitle("Ten networks on CIFAR-10 (recorded)")
plt.tight_layout()
plt.show()
for view in list(patches)[1:]:
    print(f"{view:26} against the centre {results.view_gap(record, view).signed} points")
print(
    "the paper: "
    + ", ".join(f"{a - b:+.1f}" for a, b in zip(paper.CNN_2010, paper.WITHOUT_TEN_PATCHES, strict=True))
)

# %% [markdown]
# **How to read it.** Every network gains, about two points; the paper has one and a half. The reflection alone gives half of
# it: half of all training crops were mirrored, so the network knows mirrored images as well as others. The corners by
# themselves are poor voters. In CIFAR-10 a corner patch loses a quarter of the height and of the width, and only one training crop in 81
# was that corner. (In the paper it is an eighth, and one in 1089.) Averaged with the others they still help: they are
# wrong about other images.
#
# And note what does *not* get better. The cross-entropy rises a little: voters that are unsure make the average unsure. The error
# and the cross-entropy need not move together.

# %%
gaps = {view: results.view_gap(record, view) for view in patches if view != "centre"}
members = record.tables["errors"][record.tables["errors"]["variant"] == "member"]
losses = members.groupby("view")["loss"].mean()
print(f"cross-entropy: the centre {losses['centre']:.3f} nats, ten patches {losses['ten']:.3f}")
assert all(a < b for a, b in zip(patches["ten"], patches["centre"], strict=True))  # each network gains
assert -2.6 < gaps["ten"].value < -1.8
assert 0.4 < gaps["centre and its reflection"].value / gaps["ten"].value < 0.8
assert min(alone["top left"], alone["bottom right"]) - alone["centre"] > 0.06
assert 0 < losses["ten"] - losses["centre"] < 0.05

# %% [markdown]
# **(2) Networks.** Ten networks have $\binom{10}{5} = 252$ subsets of five. Each dot is one subset. Subsets overlap, so the dots
# of one column are not independent; seeds 1–5 and seeds 6–10 are: two honest repetitions of "five networks".

# %%
figure, ax = plt.subplots(figsize=(11, 4.8))
lesson.draw_subsets(
    ax,
    {
        words: {
            size: results.subset_errors(record, size, view)
            for size in range(1, record.settings["plan"]["networks"] + 1)
        }
        for view, words in (("centre", "the centre patch: mean"), ("ten", "ten patches: mean"))
    },
)
ax.set_xlabel("networks averaged")
ax.set_ylabel("test error")
ax.set_title("Every subset of ten networks on CIFAR-10 (recorded)")
ax.legend(frameon=False)
plt.tight_layout()
plt.show()
for view, words in (("centre", "the centre"), ("ten", "ten patches")):
    for group, gap in zip(results.groups(record, view), results.group_gaps(record, view), strict=True):
        seeds = f"{5 * group['group'] - 4}–{5 * group['group']}"
        print(f"{words:11} seeds {seeds:4}: {group['members']:.2%} -> {group['average']:.2%}", end="  ")
        print(f"{gap.signed} points (interval: other test images)")
together = record.tables["agreement"].set_index("of")["share"]
print(f"two networks name the same class for {together['networks']:.1%} of the images;", end=" ")
print(f"two patches of one network for {together['patches']:.1%}")
for view in ("centre", "ten"):
    rescued = [round(10_000 * group["rescued"]) for group in results.groups(record, view)]
    lost = [round(10_000 * group["lost"]) for group in results.groups(record, view)]
    print(
        f"{view}: of 10,000 images right where all five are wrong {rescued}, wrong where all five are right {lost}"
    )

# %% [markdown]
# **How to read it.** Both groups of five say the same: nearly three points with the centre patch, one and a half with ten
# patches. Most of it is there with two or three networks. From five to ten comes less than half a point with the centre patch
# and nothing with ten patches: the part of the mistakes that all networks share stays.
#
# **The two gains overlap.** Patches alone save about two points, networks alone nearly three, both together not
# five but three and a half. Both do away with the same kind of mistake, the accidental one. Table 2 has ten
# patches throughout, so its step from one to five is what networks add *to* the patches.
#
# **Right where all five are wrong?** It can be, section 2 shows one case. Of 10,000 images it happens to three at most. The
# average wins where the members disagree and some of them are right.

# %%
single = {view: sum(patches[view]) / len(patches[view]) for view in ("centre", "ten")}
fives = results.subset_errors(record, 5, "ten")
both = 100 * (sum(fives) / len(fives) - single["centre"])
print(f"one network and the centre {single['centre']:.1%}; both steps together {both:+.1f} points")
for view, low, high in (("centre", -3.2, -2.2), ("ten", -2.0, -1.0)):
    assert all(low < gap.value < high and gap.high < 0 for gap in results.group_gaps(record, view))
ten_of_ten = results.subset_errors(record, record.settings["plan"]["networks"], "ten")[0]
assert abs(sum(fives) / len(fives) - ten_of_ten) < 0.003
assert both > gaps["ten"].value + results.group_gaps(record, "centre")[0].value + 0.5  # less than the sum
assert record.tables["groups"]["rescued"].max() <= 0.0005

# %% [markdown]
# **(3) Pre-training.** Two problems: one random half of the ten classes, in both directions. That is still one choice of a half, and
# one or two pre-trained networks each: the intervals say what other test images would change, not what other classes or seeds would.
# Within a problem all networks see the same few images. The fair rivals of the pre-trained network are the same network, with its
# sixth convolution, from scratch: as many epochs, and as many *steps* as pre-training and fine-tuning take together.

# %%
kinds = {
    "from scratch": "plain",
    "with a sixth\nconvolution": "sixth",
    "the same,\nas long in all": "long",
    "pre-trained (*)": "starred",
    "pre-trained,\nfine-tuned as long": "starred-long",
}
figure, ax = plt.subplots(figsize=(11, 4.6))
lesson.draw_paired(ax, {words: results.kind_errors(record, kind) for words, kind in kinds.items()})
ax.set_ylabel("test error, ten patches")
ax.set_title("One network on five classes with 500 images each (recorded; each line a problem)")
plt.tight_layout()
plt.show()
print(results.kinds_table(record))
print()
for a, b in (
    ("sixth", "plain"),
    ("starred", "plain"),
    ("starred", "sixth"),
    ("starred", "long"),
    ("starred-long", "long"),
):
    print(f"{a:12} against {b:6} {results.intervals(results.gaps(record, a, b))} points")
for one in record.settings["problems"]:
    print(f"{one['problem']}: {', '.join(one['source']):48} -> {', '.join(one['target'])}")

# %% [markdown]
# **How to read it.** The pre-trained network is four to five points better than the plain one, and two to five better than its own kind
# after as many epochs. The sixth convolution alone is worth little.
#
# *But what else could the time have bought?* The same network from scratch, trained on its 2,500 images for as many steps as
# pre-training and fine-tuning took together, is about a point **better** than the pre-trained one. Forty epochs were too few for
# both. And when the pre-trained network is fine-tuned as long, it is ahead again, by one to two points. So most of the first
# gain is a head start. What the other classes really taught is the rest, and it stays.
#
# In the paper the plain network had converged: run 145 gained 0.4 / 0.2 points from 44 more epochs (section 6), while pre-training
# gained 1.7 / 1.6. Our remaining one to two points are the fairer counterpart. Mind what this rests on: two problems, one split of
# the classes in both directions. The intervals are those of other test images; other classes may give another size.


# %%
def compared(a, b):
    return results.gaps(record, a, b)


assert all(-6 < gap.value < -3.5 and gap.high < 0 for gap in compared("starred", "plain"))
assert all(-5.5 < gap.value < -1.5 and gap.high < 0 for gap in compared("starred", "sixth"))
assert all(0.5 < gap.value < 1.5 for gap in compared("starred", "long"))  # worse
assert all(-2.6 < gap.value < -1 and gap.high < 0 for gap in compared("starred-long", "long"))
assert all(-2 < gap.value < 0 for gap in compared("sixth", "plain"))

# %% [markdown]
# **(4) Table 2, all four rows.** On the same two problems: one, five averaged, one pre-trained, and the seven.

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), gridspec_kw={"width_ratios": [1.3, 1]})
lesson.draw_paired(axes[0], {row: results.row_errors(record, row) for row in results.ROWS})
axes[0].set_ylabel("test error, ten patches")
axes[0].set_title("two small problems (recorded; each line a problem)")
lesson.draw_published(axes[1], results.PUBLISHED)
axes[1].set_xlabel("error on ILSVRC-2012 validation, %")
axes[1].set_title("the paper, Table 2")
plt.tight_layout()
plt.show()
print(results.table(record))
print(f"7 CNNs* against 1 CNN*: {results.intervals(results.gaps(record, 'seven', 'starred'))} points")
pair = [sum(errors) / len(errors) for errors in results.mixed_errors(record, 0, 2)]
seven = results.row_errors(record, "7 CNNs*")
print(
    f"two pre-trained ones alone {', '.join(f'{e:.2%}' for e in pair)}; the seven {', '.join(f'{e:.2%}' for e in seven)}"
)
print(
    "the seven gain less than both steps together by "
    + ", ".join(f"{x:.2f}" for x in results.shortfalls(record))
    + " points"
)

# %% [markdown]
# **How the rows of Table 2 combine.** If the two steps were independent, their gains would add. In the paper, in points of top-1
# and top-5:

# %%
one, five, star, seven = results.PUBLISHED.values()
for words, gain in {
    "five networks": [a - b for a, b in zip(five, one, strict=True)],
    "pre-training": [a - b for a, b in zip(star, one, strict=True)],
    "the sum of both": [a + b - 2 * c for a, b, c in zip(five, star, one, strict=True)],
    "the seven": [a - b for a, b in zip(seven, one, strict=True)],
    "the seven against one pre-trained": [a - b for a, b in zip(seven, star, strict=True)],
}.items():
    print(f"{words:34} {gain[0]:+.1f} / {gain[1]:+.1f}")

# %% [markdown]
# **How to read it.** In the paper the gains nearly add up: 4.3 / 3.4 would be the sum, 4.0 / 2.8 came out. Here they do not. The
# seven are better than the five, and **worse than one pre-trained network by itself**, by one to one and a half points. Each
# network has one vote, and five that err on 24% outvote two that err on 19%. In the paper the pre-trained network was 1.7 points
# ahead, here four to five. Two pre-trained networks without the five are the best of all. An average is for voters of about
# one quality; for others there are coefficients.

# %%
assert all(gap.high < -0.5 for gap in compared("five", "plain"))
assert all(gap.high < -1 for gap in compared("seven", "five"))
assert all(gap.low > 0 for gap in compared("seven", "starred"))  # worse
assert all(
    two < min(one, both)
    for two, one, both in zip(pair, results.row_errors(record, "1 CNN*"), seven, strict=True)
)
assert min(results.shortfalls(record)) > 1.5

# %% [markdown]
# ## 5 · Look
#
# **Now you.** Choose how many networks from scratch and how many pre-trained ones are averaged, over ten patches or the centre
# alone. Left: all classes, every subset. Middle: the two problems, each dot one choice of networks. Right: the paper, with the row
# that you have chosen, if it has one. When is the third network from scratch still worth its training? What do five of them
# add to two pre-trained ones?

# %% tags=["nbval-ignore-output"]
lesson.results_explorer(record)

# %% [markdown]
# **How to read it.** On all classes the second network is worth most, the third a quarter of a point with ten patches, the sixth
# next to nothing. With two pre-trained networks chosen, every network from scratch that joins them makes the average worse. Now take
# the centre alone: the curve on the left starts higher and falls further, because there is more accident left to average out.

# %% [markdown]
# ## 6 · What the 2012 code did
#
# **Ten views, summed, divided by ten, and only then the logarithm.** The order is top left, top right, centre, bottom left,
# bottom right, then the same five mirrored (`convdata_jpeg.py` 226-233). The softmax outputs are summed and divided by 10, and
# $\log$, top-1 and top-5 are taken of that (`layer.cu`, LogregCostLayer). It matters for the first number of the notes, the
# mean $-\log$ probability: the logarithm of the mean is not the mean of the logarithms. For a network that you trained:

# %% tags=["nbval-ignore-output"]
said, truth = trained["results-member-1"].ends["probabilities"], test.labels  # (10, N, classes)
in_2012 = said.sum(0) / 10
assert torch.allclose(in_2012, average(said), rtol=1e-5, atol=1e-7)
views = torch.stack([log_losses(patch, truth) for patch in said])  # (10, N)
print(
    f"-log of the mean {log_losses(in_2012, truth).mean():.3f}, mean of the -logs {views.mean():.3f} (your run)"
)
assert (log_losses(in_2012, truth) <= views.mean(0) + 1e-5).all()  # Jensen, image by image

# %% [markdown]
# **Ties share credit.** If $t$ classes have the largest probability and the label is one of them, the image counts as
# $1/t$ right (`layer_kernels.cu`, kMultiSoftmaxCost). A comparison by `argmax` gives everything to the class that comes first. That makes
# a network that knows nothing look perfect on images of class 0, and wrong on all others:

# %%
knows_nothing = torch.full((6, 10), 0.1)
for label in (0, 3):
    same = torch.full((6,), label)
    by_argmax = (knows_nothing.argmax(1) != same).float().mean()
    shared = top_errors(knows_nothing, same, 1).mean()
    print(f"six images of class {label}: error by argmax {by_argmax:.0%}, with shared credit {shared:.0%}")
    assert shared == 0.9
assert abs(top_errors(torch.full((3, 1000), 0.001), torch.arange(3), 5).mean() - 0.995) < 1e-12

# %% [markdown]
# **Probabilities, not logits.** Averaging logits is averaging logarithms of probabilities: the normalized *geometric* mean, as in
# notebook 09. There one confident "no" is a veto; in the arithmetic mean it is one vote of five. Does it matter? And
# **coefficients**: `avg-valid.py` can search them on the validation images. Whether Table 2 used any is not recorded. We search them for
# each five on one half of the test images and judge on the other half.

# %%
for _, group in record.tables["groups"].iterrows():
    print(f"five networks, {group['view']:6}: probabilities averaged {group['average']:.2%}, ", end="")
    print(f"logits {group['logits']:.2%}")
halves = record.tables["weights"].to_dict("records")
for where, words in (("here", "on the half where they were searched"), ("there", "on the other half")):
    change = [100 * (half[f"searched_{where}"] - half[f"equal_{where}"]) for half in halves]
    print(
        f"searched coefficients against equal ones {words}: {', '.join(f'{c:+.2f}' for c in change)} points"
    )
assert all(half["searched_here"] <= half["equal_here"] for half in halves)

# %% [markdown]
# **How to read it.** For these networks the two means agree to about a tenth of a point. Searched coefficients are better where
# they were searched, which proves nothing, and no better elsewhere: five networks of one kind deserve one weight. (With networks of
# different quality it could be otherwise, and with 50,000 validation images the search fits less noise.)
#
# **Five labels a line.** For the contest `txt-preds.py` writes the five most probable classes of each test image, numbered from 1.
# The same for three images, with ten classes:

# %% tags=["nbval-ignore-output"]
for line, label in zip(contest_lines(in_2012[:3]), truth[:3].tolist(), strict=True):
    print(f"{line}    (label {label + 1}, {test.classes[label]}; your run)")

# %%
p = torch.tensor([[0.1, 0.3, 0.05, 0.2, 0.25, 0.1]])
assert contest_lines(p) == ["2 5 4 1 6"]

# %% [markdown]
# **What the notes hold.** Each run's file ends with its results. They allow what Table 2 does not: to compare ten patches with the
# centre in two runs, and five networks with each of the five that were there.

# %%
for run in ("145-2010", "141-2009"):
    with_ten, centre = RUNS_2012[run], RUNS_2012[f"{run} centre"]
    gains = [100 * (a - b) for a, b in zip(with_ten[:2], centre[:2], strict=True)]
    print(
        f"ten patches, run {run:8} {centre.top1:.2%} / {centre.top5:.2%} -> {with_ten.top1:.2%} / {with_ten.top5:.2%}",
        end="",
    )
    print(f"  ({gains[0]:+.2f} / {gains[1]:+.2f} points; {with_ten.on})")

before = [RUNS_2012[run] for run in BEFORE_THE_CONTEST]
means = [sum(getattr(run, what) for run in before) / len(before) for what in ("top1", "top5")]
five = paper.FIVE_CNNS_VALIDATION
print(
    f"runs {', '.join(BEFORE_THE_CONTEST)}: mean {means[0]:.2%} / {means[1]:.2%}, 5 CNNs in Table 2 {five}",
    end="",
)
print(f"  ({five.top1 - 100 * means[0]:+.1f} / {five.top5 - 100 * means[1]:+.1f} points)")

for run in ("145", "145 continued", "170 fade", "141-2009", "146-2012-2009", "146-2012-2011"):
    print(f"{run:14} {RUNS_2012[run].top1:.2%} / {RUNS_2012[run].top5:.3%}")
assert RUNS_2012["145 continued"].top1 == RUNS_2012["170 fade"].top1 == 0.4025
assert RUNS_2012["145"].top1 > RUNS_2012["145 continued"].top1 > RUNS_2012["146-2012-2011"].top1

# %% [markdown]
# **How to read it.** Ten patches are worth 1.3 to 2.0 points in both runs, and about as much for a pre-trained network. Which networks
# are in the "5 CNNs" is not recorded. Five runs (120-2012, 131, 135, 137, 145) had a whole result before the contest, so they are likely
# candidates; the paper's average is better than each of them. Two pre-trained networks belong to the seven; which, is not
# recorded either.
#
# **And it went on.** The notes do not end with the paper. Run 145, with its learning rate raised once more and trained from epoch 91
# to 135, came to 40.25% / 17.994%. Run 170 got there as well (40.25% / 18.116%), with another schedule and 5% of the
# crops mixed with another crop, as later methods do. Both came after the published result: the 40.7% / 18.2% of Table 2 is not the
# best that this network did from scratch. Still neither comes near the pre-trained 38.99%.
#
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("11.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **11.1** (5 minutes, easy). Run 145-2010 had the top-1 errors 0.390247 with the centre patch and 0.374727 with ten, on 150,000
# test images. By how many images does the number of wrong answers fall?

# %%
answer_1 = None
check("11.1", answer_1)

# %% [markdown]
# **11.2** (15 minutes, medium). Write a function of `p` (N, C) and `labels` (N,) that returns the top-1 error, 0–1, with shared
# credit: where the label is one of $t$ classes with the largest probability, the image is $1 - 1/t$ wrong.


# %%
def shared_error(p, labels): ...


answer_2 = None  # shared_error
check("11.2", answer_2)

# %% [markdown]
# **11.3** (10 minutes, medium). Two networks, three classes, and class 0 is right. Find two rows of probabilities so that both
# networks are wrong and their average is right; other numbers than those of section 2.

# %%
answer_3 = None  # [[..., ..., ...], [..., ..., ...]]
check("11.3", answer_3)

# %% [markdown]
# **11.4** (10 minutes, medium). Write a function of `p` (N, C) that returns the contest's answer as integers (N, 5): the five most
# probable classes, the most probable first, numbered from 1.

# %%
answer_4 = None  # lambda p: ...
check("11.4", answer_4)

# %% [markdown]
# **11.5** (20 minutes, harder). $M$ scores have the variance $\sigma^2$ each and the correlation $\rho$ in pairs. Write a function
# of `M` and `rho` that returns the variance of their mean divided by $\sigma^2$.

# %%
answer_5 = None  # lambda M, rho: ...
check("11.5", answer_5)

# %% [markdown]
# ## 8 · Verdict

# %%
verdict(
    ["ten-crop", "table2-5", "table2-1s", "table2-7s", "fall2009"],
    why={
        "ten-crop": "The small version agrees: every one of ten networks gains. Corner patches cut off more of a small image.",
        "table2-5": "The small version agrees in size: on top of ten patches, five networks save about as much as in the paper, in both groups.",
        "table2-1s": "The small version gains more, but most of it is a head start: as many steps from scratch do as well or better. With both trained that long, one to two points remain.",
        "table2-7s": "Better than five, but here worse than one pre-trained network: the other five are four to five points weaker and have a vote each. In the paper they were two points apart.",
        "fall2009": "Needs 8.9 million images. Only a run without the sixth layer is in the notes.",
    },
)

# %%
for words, guess, gap in (
    ("ten patches", my_points_by_patches, results.view_gap(record, "ten")),
    ("five networks", my_points_by_networks, results.group_gaps(record, "ten")[0]),
    ("pre-training", my_points_by_pre_training, results.gaps(record, "starred", "plain")[0]),
):
    if guess is not None:
        print(f"{words}: you predicted {guess:g} points, measured {-gap.value:.1f} (recorded)")

# %% [markdown]
# **To repeat the record**: `alexnet-edu experiment results`. It can be killed at any moment, goes on when called again, and writes
# `data/results/results.json`. The same questions on ImageNet, for networks that you trained: `alexnet-edu evaluate`.
