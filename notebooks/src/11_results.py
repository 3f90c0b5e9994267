# %% [markdown]
# # 11 · Results: what is a second opinion worth?
#
# **The claims** (§4.1, §6, Table 2). Three steps lower the error further. (1) The predictions for **ten patches** of a test image are averaged: 37.5% in place of 39.0% top-1 (ILSVRC-2010). (2) **Five networks** are
# averaged: 38.1% in place of 40.7% (ILSVRC-2012 validation). (3) One network with a sixth convolution is **pre-trained** on all of ImageNet and then fine-tuned: 39.0%. Two such networks and the five together reach 36.7%, and 15.3% top-5 on the
# test images of the contest. The second-best entry had 26.2%.
#
# **The answer.** Each step saves a point or two in a small network, too. Averaging pays only as far as networks make *different* mistakes. You will measure that on two networks, and predict what five do.

# %%
import torch
import torch.nn.functional as F
from torch import nn

from alexnet_edu.data.augment import ten_crop
from alexnet_edu.lessons import results as lesson
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict
from alexnet_edu.training.predictions import average

record = load("results")
show(*lesson.three_gains(record))

# %% [markdown]
# For the first two steps the record has ten networks on all of CIFAR-10; for the third, two *problems*: five classes, learned from few images after the other five, and the reverse. Five networks save fewer points than in the paper, but about the same share of a smaller error.
#
# **How far to trust it.** The first interval covers other seeds, the others cover other test images; none covers other classes. And most of the recorded networks are not fully trained:

# %%
print(lesson.limits(record))

# %% [markdown]
# Averaging patches at test time is called *test-time augmentation* today; §4.1 describes it, without the name. Three numbers are often mixed up: 37.5% belongs to ILSVRC-2010, a contest that the network never entered (it was measured on its
# test set later); 15.3% is **seven networks**, two of them pre-trained, not one; and most of Table 2 are validation errors, which by the paper are within 0.1 points of the test errors.
#
# **Know first:** softmax, cross-entropy; the ten patches (lesson 04). **Time:** 45 minutes, of which two or three of computing, and 55 minutes of exercises (11.5 makes a good homework).
#
# ## 1 · Predict
#
# Several networks, alike but for the seed. The average of two has an error that is $g$ points lower than that of one. **How many times $g$ does the average of five gain?** What do two networks share, and what does each have for itself?

# %%
my_times = None  # for example 2.5

# %% [markdown]
# ## 2 · Derive
#
# $p_m$ holds what network $m$ says about all $N$ images and $C$ classes, $y$ the truth: 1 for the right class, 0 elsewhere. Call $e_m = p_m - y$ its **mistake**, a vector of $NC$ numbers. The average of $M$ networks has the mistake $\bar e = \frac1M \sum_m e_m$, because
# $y$ is the same for all. Its length squared is a sum of $M^2$ products. $M$ of them are of a mistake with itself, $|e_m|^2$; call their average $B$. The other $M(M-1)$ are of two different mistakes, $e_m \cdot e_k$; call their average $\rho B$. Then
#
# $$|\bar e|^2 = \frac{M B + M(M-1)\,\rho B}{M^2} = B\Big(\rho + \frac{1-\rho}{M}\Big) = a + \frac{b}{M}.$$
#
# $\rho$ is the **agreement** of the mistakes. Identical networks have $\rho = 1$, and nothing is gained. However many you take, $a = \rho B$ remains: what all get wrong alike. Two networks are enough to measure $\rho$.


# %%
def agreement(p, labels):
    """p: (M, N, C) probabilities, labels: (N,) -> ρ, the mean over all pairs of networks."""
    mistakes = (p - F.one_hot(labels, p.shape[2])).flatten(1)  # (M, N C)
    products = mistakes @ mistakes.T
    B = products.diagonal().mean()
    return ((products.sum() - products.trace()) / (len(p) * (len(p) - 1)) / B).item()


# %% [markdown]
# That is exact for the *squared* mistake. The share of wrong images is not a square: an average can lose an image that two of three networks got right. Does the error follow $a + b/M$ all the same?
#
# ## 3 · Bridge
#
# `average` is the package's function. On invented predictions of seven networks:

# %%
p = (2 * torch.randn(7, 50, 4, generator=torch.Generator().manual_seed(0))).softmax(2)
labels = torch.arange(50) % 4
truth, rho = F.one_hot(labels, 4), agreement(p, labels)
B = (p - truth).square().sum((1, 2)).mean()
print("averaged as by the package:", torch.allclose(average(p), p.mean(0)))
print(
    "seven networks, by formula:",
    torch.allclose((p.mean(0) - truth).square().sum(), B * (rho + (1 - rho) / 7)),
)

# %% [markdown]
# ## 4 · Run
#
# Table 2, small and live. Five classes with 200 images each: that is the problem. Five networks learn it from scratch. A sixth network first learns the **other** five classes, from all of their 25,000 images, and is then fine-tuned. (It has no sixth convolution
# here.)


# %%
def network(seed):
    torch.manual_seed(seed)
    pool = nn.MaxPool2d(3, 2)  # overlapping, lesson 03
    convolutions = (
        *(nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), pool),
        *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), pool),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), pool),
    )
    hidden = nn.Flatten(), nn.Linear(128, 256), nn.ReLU(), nn.Dropout(0.5)
    return nn.Sequential(*convolutions, *hidden, nn.Linear(256, 5))


def train(net, x, y, epochs, seed, rate=0.03):
    random, steps = torch.Generator().manual_seed(seed), epochs * len(x) // 128
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9, weight_decay=0.0005)
    net.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate if step < 0.8 * steps else rate / 10
        batch = torch.randint(len(x), (128,), generator=random)
        top, left, mirror = torch.randint(9, (3,), generator=random).tolist()
        patch = x[batch, :, top : top + 24, left : left + 24]  # one crop for the batch
        loss = F.cross_entropy(net(patch.flip(3) if mirror % 2 else patch), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net


def fine_tune(net, x, y, epochs, seed):
    net[-1] = nn.Linear(256, 5)  # all that was learned stays; only the classifier starts anew
    return train(net, x, y, epochs, seed)


@torch.no_grad()
def predict(net, x):
    net.eval()
    each = [net(ten_crop(some, 24).flatten(0, 1)).softmax(1) for some in x.split(50)]  # image by image
    return torch.cat(each).unflatten(0, (-1, 10)).transpose(0, 1)  # (10, N, 5)


# %% tags=["nbval-ignore-output"]
cifar = load_cifar10()
few, epochs, epochs_before, networks = at_scale((10, 1, 1, 3), (200, 60, 4, 5), (500, 60, 12, 5))
order = torch.randperm(10, generator=torch.Generator().manual_seed(0)).tolist()
other, mine = order[:5], order[5:]
x, y = lesson.pictures(cifar.train, mine, few)
test_x, test_y = lesson.pictures(cifar.test, mine)

scratch = [train(network(seed), x, y, epochs, seed) for seed in range(networks)]
starred = train(network(100), *lesson.pictures(cifar.train, other), epochs_before, 100)
starred = fine_tune(starred, x, y, epochs, 100)
patches = torch.stack([predict(net, test_x) for net in [*scratch, starred]])  # (M + 1, 10, N, 5)
show(*lesson.patch_by_patch(patches, test_y, cifar.test))

# %% [markdown]
# **Ten patches.** The reflection alone accounts for a part of it: the network was trained on mirrored images, too. A corner alone is a poor voter: it cuts a quarter off two sides of the image (in the paper an eighth), where the centre cuts half as much off all four.
# The first corner even makes the average worse. Opposite corners together help, because they are wrong about *other* images.
#
# **Five networks.** Now the centre patch alone. The curve is drawn through one network and two; three, four and five were not used.

# %% tags=["nbval-ignore-output"]
centre = patches[:-1, 2]
print(
    f"agreement of the mistakes: from two networks, ρ = {agreement(centre[:2], test_y):.2f}; all: {agreement(centre, test_y):.2f}"
)
show(*lesson.curve_of_two(centre, test_y, record, cifar.test, my_times))

# %% [markdown]
# Two networks gain $b/2$, five gain $\frac45 b$: **1.6 times as much**, and no number of networks more than twice as much. That is a good reason to enter a contest with five or seven networks, not fifty. Now compare the level $a$ with $\rho$ times the error of one network. On the right is the record: up to ten networks the measured errors stay close to the curve, a little below it. (The recorded scores
# were not kept, so $\rho$ is measured on yours.)
#
# **Pre-training, and Table 2.** All with ten patches:

# %% tags=["nbval-ignore-output"]
ten = patches.mean(1)
show(*lesson.table_two(ten[:-1], ten[-1:], test_y, record, cifar.test))

# %% [markdown]
# **How to read it.** What the other five classes taught helps with the new ones: edges, colours, textures are the same. In the paper the gains nearly add up: five networks save 2.6 points, pre-training 1.7, and the seven 4.0. Here they do not, and in the record the seven are even *worse*
# than a single pre-trained network. Each network has one vote, and five weak ones outvote two strong ones. (In the paper the two kinds were closer.)
#
# How much of it did the other classes teach? Less than it seems. The recorded networks from scratch stopped early. Trained four times as long, they are as good as the pre-trained one or better: most of the gain was a [head start](further/11_a_head_start.ipynb). What remains when *both*
# train that long is what the first figure shows.
#
# ## 5 · Look
#
# Two pre-trained networks are averaged. **Move *From scratch* from 0 to 5.** Each mark is one choice of networks, the solid line the two alone. Does every network that joins make the average worse? Then take the pre-trained ones away: when is another network from scratch still worth its training?

# %% tags=["nbval-ignore-output"]
lesson.results_explorer(record, starred=2, frames={"plain": (0, 1, 5)})

# %% [markdown]
# On average, yes; but in problem 1, one of the five lowers the error of the two by a hair. An average with equal votes is for networks that are about equally good. For others there are coefficients (exercise 11.5).
#
# ## 6 · What the 2012 code did
#
# - **Ten views, summed, divided by ten, and only then the logarithm**: top left, top right, centre, bottom left, bottom right, then the same five mirrored. Probabilities are averaged, not logits. [Does it matter?](further/11_how_to_average.ipynb)
# - **The notes say more about patches than about networks.** For four runs they give the error with ten patches and with the centre alone: 1.6 to 2.0 points apart. Which networks were averaged they do not say. Five runs had a whole result before the contest: likely the five, each alone worse than 38.1%.
# - **Coefficients could be searched** on the validation images (`avg-valid.py`). Whether Table 2 used any is not recorded.
# - **It went on.** Run 145, with its rate raised once more after the published result, came to 40.25% from scratch, and so did run 170 with some of its crops mixed. Table 2 has 40.7%; still, neither comes near the pre-trained 39.0%.
#
# ## 7 · Verdict

# %%
verdict(
    ["ten-crop", "table2-5", "table2-1s", "table2-7s", "fall2009"],
    why={
        "ten-crop": "The small version agrees: every one of ten networks gains. Corner patches cut off more of a small image.",
        "table2-5": "The small version agrees: on top of ten patches, five networks save six percent of the error, in both groups.",
        "table2-1s": "The small version gains more, but most of it is a head start: as many steps from scratch do as well or better. With both trained that long, one to two points remain.",
        "table2-7s": "Better than five, but here worse than one pre-trained network: the other five are four to five points weaker and have a vote each. In the paper they were two points apart.",
        "fall2009": "Needs 8.9 million images. Only a run without the sixth layer is in the notes.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("11.1")` helps; solutions are in `notebooks/solutions/`.
#
# **11.1** (5 minutes). Suppose the top-1 error of Table 2 follows $a + b/M$ exactly. Which error, in percent, would infinitely many networks have?

# %%
answer_1 = None
check("11.1", answer_1)

# %% [markdown]
# **11.2** (10 minutes, a bug hunt). A network's weights have become 0, so it gives all classes the same probability. This program says that its error is 0% on images of class 0 and 100% on all others:
#
# ```python
# (p.argmax(1) != labels).float().mean()
# ```
#
# The 2012 code lets the classes that tie for the largest probability share the credit: if the label is one of $t$ such classes, the image is $1 - 1/t$ wrong. Write the top-1 error (0–1) of `p` (N, C) and `labels` (N,) that way.


# %%
def shared_error(p, labels): ...


answer_2 = None  # shared_error
check("11.2", answer_2)

# %% [markdown]
# **11.3** (10 minutes). Can an average be right where every network is wrong? Two networks, three classes, class 0 is right: find such probabilities, a row for each network.

# %%
answer_3 = None  # [[..., ..., ...], [..., ..., ...]]
check("11.3", answer_3)

# %% [markdown]
# **11.4** (10 minutes, a sick patient). This fine-tuning runs without a complaint, and the error even falls. But at the end `net[-1].weight` is what it was at the beginning:
#
# ```python
# def begin(net, classes, rate):
#     optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9)
#     net[-1] = nn.Linear(net[-1].in_features, classes)
#     return optimizer
# ```
#
# Why? Write the function so that everything learns.


# %%
def begin(net, classes, rate): ...


answer_4 = None  # begin
check("11.4", answer_4)

# %% [markdown]
# **11.5** (20 minutes, hard). Two voters of different quality: their mistakes have the squares $B_1$ and $B_2$ and the product $C = e_1 \cdot e_2$. The vote is $w\,p_1 + (1 - w)\,p_2$. Find the $w$ for which its squared mistake is smallest. When is the weaker one better left out altogether? (This $C$ is a product, not the number of classes.)
# Then measure $B_1$, $B_2$ and $C$ for your five networks (averaged) and the pre-trained one, and see what the vote with this $w$ gains.


# %%
def best_weight(B1, B2, C): ...


answer_5 = None  # best_weight
check("11.5", answer_5)

# %% [markdown]
# **Change it and run again.** Give the five networks the *same* initial weights, `train(network(0), x, y, epochs, seed)`: only the order of the images and the dropout differ. Is $\rho$ closer to 1? Guess before you run it. (Then try 50 images per class. What becomes of $b$?)
#
# **To discuss.** One network takes five to six days on two GPUs. You have 40 days: seven networks, or one network that is larger? What changes when a million images must be classified every hour?
#
# **Go deeper:** [The other classes, or the time?](further/11_a_head_start.ipynb) · [How to average](further/11_how_to_average.ipynb). **Repeat the record:** `alexnet-edu experiment results`; the same questions on ImageNet, for networks that you trained:
# `alexnet-edu evaluate`. This was the last lesson; `!alexnet-edu claims` shows all claims in one table.
