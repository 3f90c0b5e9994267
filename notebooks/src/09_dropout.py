# %% [markdown]
# # 09 · Dropout: what does a mask in training cost, and what does the halving in test stand for?
#
# **The claims** (§4.2). In training the output of each hidden unit in the first two fully connected layers is set to
# zero with probability 0.5. In test all units are used and their outputs are multiplied by 0.5. Three things are said
# about it: without dropout the network overfits substantially; dropout roughly doubles the number of iterations until
# convergence; and the halving is a reasonable approximation to the geometric mean of the predictions of exponentially
# many thinned networks.
#
# **What to know first.** Softmax and cross-entropy, and how SGD updates a weight.
#
# **What you will have at the end.** A proof that the halving is *exact* for one softmax layer, and a measurement of how far
# off it is for two; why the form of 2012 and PyTorch's form train differently, and when they do not; and
# the training curves with and without, on CIFAR-10, with three seeds each.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | four networks on 600 images of the synthetic stand-in, two epochs (this is what tests use) | under a minute |
# | `laptop` | the four networks live on 10,000 images of real CIFAR-10, 12 epochs | about 3 minutes on two cores |
# | `gpu`, `paper` | the four networks, 36 epochs | about 8 minutes on two cores |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. The full experiment (three seeds for each form of dropout, 36 epochs, the mask
# of 2012 at two learning rates) was recorded earlier. It stands beside your own run, and it is always labelled *recorded*.

# %%
import itertools
from dataclasses import replace

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from alexnet_edu import paper
from alexnet_edu.data.cifar10 import figure_note, load_cifar10, runs_dir
from alexnet_edu.data.images import ImageSet
from alexnet_edu.environment import current_scale
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.claims import RUNS_2012
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import dropout as thinned
from alexnet_edu.model.layers import Dropout
from alexnet_edu.studies import ablations as studies
from alexnet_edu.studies import study as running
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.record import load, spread
from alexnet_edu.studies.run import INITIAL, build
from alexnet_edu.studies.study import Variant

record = load("dropout")
images = load_cifar10()

# %% [markdown]
# ## 1 · Predict
#
# A small network with two hidden layers of 512 units is trained on 10,000 images of CIFAR-10, once without dropout and
# once with the mask of 2012, at the same learning rate. **How many times as many epochs does it take with dropout until
# 40% of the training images are still wrong?** And: after 36 epochs, **how many points lower is the test error with
# dropout?**
#
# Write your numbers down before you read on. They come back at the end.

# %%
my_times_the_epochs = None  # for example 2
my_points_saved = None  # for example 1; negative if you think that dropout hurts

# %% [markdown]
# ## 2 · Derive
#
# First naively: a coin for each unit.


# %%
def dropout_naive(h, coins):
    """h: n activities; coins: n numbers from 0 to 1."""
    y = torch.zeros_like(h)
    for i in range(len(h)):
        if coins[i] < 0.5:
            y[i] = h[i]
    return y


def dropout(h, coins, p=0.5):
    return h * (coins < p)


h, coins = torch.rand(2, 12, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
assert torch.equal(dropout_naive(h, coins), dropout(h, coins))

# %% [markdown]
# Let $m_i$ be 1 with probability $p$ and 0 otherwise ($p = 0.5$ in the paper). There are two ways to make training and
# test fit together:
#
# | form | in training | in test |
# |---|---|---|
# | 2012 (§4.2 and the authors' code) | $m_i h_i$ | $p\, h_i$ |
# | inverted (PyTorch's `nn.Dropout`) | $m_i h_i / p$ | $h_i$ |
#
# In either form the mean over the masks in training is what the test uses: $E[m_i h_i] = p\,h_i$ and
# $E[m_i h_i/p] = h_i$. Here there is no need to trust a sample. A layer of 10 units has $2^{10}$ masks: we take them all.

# %%
masks = torch.tensor(list(itertools.product((0.0, 1.0), repeat=10)), dtype=torch.float64)  # (2¹⁰, 10)
h = torch.arange(1.0, 11, dtype=torch.float64)  # whole numbers: nothing is rounded
in_2012, inverted = masks * h, masks * h / 0.5
assert torch.equal(in_2012.mean(0), 0.5 * h)
assert torch.equal(inverted.mean(0), h)
assert torch.equal((in_2012 - in_2012.mean(0)).square().mean(0), h**2 / 4)
assert torch.equal((inverted - inverted.mean(0)).square().mean(0), h**2)
print(f"{len(masks)} masks: the means are h/2 and h, the variances h²/4 and h²: all exactly")

# %% [markdown]
# So the forms are equal in the mean, up to the factor $p$. **But they do not train alike.** What the next layer reads is
# half as large in the form of 2012. With the same weights its inputs $z = W(m \circ h) + b$ are smaller, and so is the
# gradient of its weights, $\partial L/\partial W = \delta\,(m \circ h)^\top$.
#
# When *are* they alike? Let $W$ be the weights that read dropped units in the form of 2012, and $W'$ those in the other.
# The outputs agree for every mask if $W (m \circ h) = W' (m \circ h)/p$, that is for
#
# $$W = W'/p.$$
#
# Then also the $\delta$ agree, and the gradients are $\partial L/\partial W = \delta\,(m \circ h)^\top = p\;\partial L/\partial W'$.
# After a step of SGD $W = W'/p$ must still hold: $\Delta W = \Delta W'/p$, so
# $\varepsilon\,p\;\partial L/\partial W' = \varepsilon'\,(\partial L/\partial W')/p$, that is
#
# $$\varepsilon = \varepsilon'/p^2.$$
#
# For $p = 0.5$: weights twice as large, and a learning rate four times as large, in the layers that read dropped units;
# biases and all other layers stay as they are. Turned round: **with the same weights and the same rate, these layers
# start at half the scale and learn at a quarter of the rate in the form of 2012.** Section 3 puts that to the test.
#
# **The $2^n$ networks.** Each mask leaves a network of its own, thinned, and all share their weights. Let one softmax
# layer read the $n$ units: $p_m(k) = e^{w_k \cdot (m \circ h) + b_k} / Z_m$. The geometric mean over all masks is
#
# $$\Big(\prod_m p_m(k)\Big)^{1/2^n} = \frac{\exp\Big(\frac{1}{2^n}\sum_m \big(w_k \cdot (m \circ h) + b_k\big)\Big)}{\big(\prod_m Z_m\big)^{1/2^n}}
# = \frac{\exp\big(w_k \cdot \tfrac12 h + b_k\big)}{\text{the same for all } k}.$$
#
# Divided by its sum over $k$, that is softmax of $\tfrac12 W h + b$: the network with all units and halved outputs.
# Nothing is approximate here. By enumeration, first naively:

# %%
generator = torch.Generator().manual_seed(1)
h = torch.rand(10, generator=generator, dtype=torch.float64)
W, b = (torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((5, 10), (5,)))
product = torch.ones(5, dtype=torch.float64)
for mask in itertools.product((0.0, 1.0), repeat=10):
    p_mask = torch.softmax(W @ (torch.tensor(mask) * h) + b, 0)
    product *= p_mask ** (1 / 2**10)
halved = torch.softmax(0.5 * W @ h + b, 0)
assert (product / product.sum() - halved).abs().max() < 1e-12
assert product.sum() < 1  # so it has to be renormalized

# %% [markdown]
# Then all masks at once. The *arithmetic* mean of the same networks is something else:

# %%
logits = (masks * h) @ W.T + b  # (2¹⁰, 5)
geometric = logits.log_softmax(1).mean(0).softmax(0)
arithmetic = logits.softmax(1).mean(0)
assert (geometric - halved).abs().max() < 1e-12
for name, p in (("halved", halved), ("geometric mean", geometric), ("arithmetic mean", arithmetic)):
    print(f"{name:16}", *(f"{x:.4f}" for x in p.tolist()))
assert (arithmetic - halved).abs().max() > 0.01

# %% [markdown]
# **How to read it.** The first two lines agree to rounding. The third is flatter: each network is surer than their
# average. The proof needs that the logits are *linear* in the mask. With a ReLU layer in between they are not, and then
# the halving is an approximation. How good it is, section 5 measures on trained networks.
#
# ## 3 · Bridge
#
# These lines are the package's `Dropout`, in both forms, and `thinned`. PyTorch's layer is the inverted form.

# %%
h = torch.rand(4, 10, generator=generator, dtype=torch.float64) + 1
for form, factor in (("2012", 1.0), ("inverted", 2.0)):
    layer = Dropout(0.5, form)
    y = layer(h)
    assert torch.equal(y, factor * h * (y > 0))
    assert torch.equal(layer.eval()(h), h if form == "inverted" else 0.5 * h)
y = nn.Dropout(0.5)(h)
assert torch.equal(y, 2 * h * (y > 0))
assert torch.equal(thinned.all_masks(10), masks)
thinned_networks = thinned.thinned_logits(h, [(W, b)], [masks])  # (2¹⁰, 4, 5)
whole = thinned.whole_logits(h, [(W, b)]).log_softmax(-1)  # (4, 5)
assert (thinned.geometric_mean(thinned_networks) - whole).abs().max() < 1e-12
print("equal: the layers, the masks, and the geometric mean of all networks to 1e-12")

# %% [markdown]
# **The two forms on a whole network**: three convolutions and two hidden layers of 512 units, in float64, the same
# masks, five steps of SGD with momentum and weight decay. The layers `fc5` and `fc6` read dropped units. (Weight decay
# $\lambda \varepsilon W$ must follow, too: $\lambda = p^2 \lambda'$.)


# %%
def logits_after_training(step, factor, x, y):
    """factor: of the weights that read dropped units; their rate goes with its square."""
    net = build(studies.small_alexnet(step), 24, 10, INITIAL).double()
    readers = [net.weights(name).weight for name in ("fc5", "fc6")]
    others = [p for p in net.parameters() if all(p is not w for w in readers)]
    for w in readers:
        w.data *= factor
    own = {"params": readers, "lr": 0.005 * factor**2, "weight_decay": 0.0005 / factor**2}
    sgd = torch.optim.SGD([{"params": others}, own], lr=0.005, momentum=0.9, weight_decay=0.0005)
    for i in range(5):
        for seed, layer in enumerate(m for m in net.modules() if isinstance(m, Dropout)):
            layer.reseed(100 * i + seed)  # the same masks in every call
        sgd.zero_grad()
        F.cross_entropy(net(x), y).backward()
        sgd.step()
    return net.eval()(x)


# %%
generator = torch.Generator().manual_seed(2)
x = torch.randn(16, 3, 24, 24, generator=generator, dtype=torch.float64)
y = torch.randint(10, (16,), generator=generator)
inverted = logits_after_training("inverted_dropout", 1, x, y)
rescaled = logits_after_training("dropout", 2, x, y)
as_it_is = logits_after_training("dropout", 1, x, y)
assert (rescaled - inverted).abs().max() < 1e-10 * inverted.abs().max()
assert (as_it_is - inverted).abs().max() > 0.1 * inverted.abs().max()
print("2012 with weights × 2 and rate × 4 in fc5 and fc6: the inverted form, to rounding")
print("2012 with the same weights and rates: another network")

# %% [markdown]
# ## 4 · Run
#
# The network of the experiments is AlexNet made small: three convolutions with pooling, two hidden layers of 512 units,
# a classifier. It sees 10,000 images, without augmentation, so it can overfit. Three forms: without dropout, with the
# mask of 2012, and inverted. The rate stays the same for all 36 epochs.
#
# **Your own run**: one seed, one that the record does not have, all at the same rate. A fourth network is trained for
# section 6: it has a third hidden layer, and all three are dropped out.

# %%
plain = studies.small_alexnet("dropout")
hidden = [
    replace(plain.layers[3], name=f"hidden{i}", std=(2 / inputs) ** 0.5)
    for i, inputs in ((1, 64 * 3 * 3), (2, 512), (3, 512))
]
three = replace(plain, layers=(*plain.layers[:3], *hidden, plain.layers[-1]))
study = studies.STUDIES["dropout"]
extra = Variant("three", "three layers of 512, 2012", three, 0.005, (), ())
study = replace(study, variants=(*study.variants, extra))
titles = {variant.name: variant.title for variant in study.variants}

# %% tags=["nbval-ignore-output"]
scale, rate = current_scale(), 0.005
train, test, epochs, changes = images.train, images.test, {"quick": 2, "laptop": 12}.get(scale, 36), {}
if scale == "quick":
    train, test, changes = train.subset(torch.arange(600)), test.subset(torch.arange(200)), {"batch_size": 50}
keep = None if scale == "quick" else runs_dir() / "ablations"
device = "cuda" if scale in ("gpu", "paper") and torch.cuda.is_available() else "cpu"
runs = Runs(ImageSet(train, test), keep, device)
live = running.live(study, dict.fromkeys(titles, rate), runs, epochs, **changes)
prepare = runs.prepare(study.crop, study.inputs)
for name, run in live.items():
    run.network.cpu().eval()
    errors = {what: run.column(what)[-1] for what in ("test_error", "train_error")}
    assert all(0 <= error <= 1 for error in errors.values())
    print(f"{titles[name]:27} test error {errors['test_error']:.1%}, training error", end=" ")
    print(f"{errors['train_error']:.1%}{' (synthetic images)' * train.synthetic}")

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), sharey=True)
forms = {titles[name]: live[name].frame for name in ("none", "2012", "inverted")}
for ax, what in zip(axes, ("train_error", "test_error"), strict=True):
    words = thinned.plots.WORDS[what]
    thinned.plots.lines(ax, {label: (curve["epoch"], curve[what]) for label, curve in forms.items()})
    title = f"{words.capitalize()}, measured without masks"
    thinned.frame(ax, title, "epochs", words, percent="y", grid="xy", legend="best")
figure.suptitle(f"Your run: one seed, ε = {rate:g} (ε / 10 in the last quarter){figure_note(images)}")
plt.tight_layout()
plt.show()

# %% [markdown]
# One seed says little. **The recorded runs**: three seeds for each form. A seed draws the 10,000 images, their order and
# the weights, the same for all three forms. All errors are measured as in test: without masks, with the
# scaling of the form.

# %%
pairs = record.runs[["variant", "rate"]].drop_duplicates().itertuples(index=False)
cells = {(name, r): record.of(variant=name, rate=r) for name, r in pairs}
shared = record.shared_rates()
figure, axes = plt.subplots(2, len(shared), figsize=(12, 8), sharey="row", sharex=True, squeeze=False)
for column, r in zip(axes.T, shared, strict=True):
    for ax, what in zip(column, ("train_error", "test_error"), strict=True):
        words = f"{thinned.plots.WORDS[what].capitalize()}, all at ε = {r:g}"
        thinned.plots.learning_curves(ax, record.at_rate(r).curves, what, words)
figure.suptitle("The mean over the seeds, and in the band around it all of them (recorded, real CIFAR-10)")
plt.tight_layout()
plt.show()
print(record.origin())

# %%
print("recorded        ε   seeds    training error    test error at the end   at its best    in epoch")
for (name, r), cell in cells.items():
    curves = thinned.curves_by_seed(cell).values()
    best = spread([curve["test_error"].min() for curve in curves])
    at = ", ".join(f"{thinned.epochs_to_best(curve):g}" for curve in curves)
    print(f"{name:10}{r:7g}{len(curves):8}{spread(cell.runs['train_error']):>18}", end="")
    print(f"{spread(cell.runs['test_error']):>25}{best:>17}   {at}")

# %% [markdown]
# **Overfitting.** Without dropout the training error falls towards zero, and the test error stops following early. The
# distance between the two at the end, and what dropout changes:

# %%
same = record.at_rate(rate)
for title, runs_of_one in same.runs.groupby("title", sort=False):
    print(f"{title:20} test error − training error: {spread(runs_of_one['gap'])}")
for what in ("test_error", "train_error", "gap"):
    words = thinned.plots.WORDS[what]
    for name in ("2012", "inverted"):
        print(f"{name:9} minus none, {words:28} {same.gap(name, 'none', what).signed:>26} points")

# %% [markdown]
# **How many times the epochs?** "Until convergence" can mean several things, so we count three: until the *training*
# error has come down to a level; until the *test* error has come down to a level; and until the test error is at its
# best. Each ratio compares two runs of the same seed. An empty place: one of the two never gets there in 36 epochs.

# %%
LEVELS = (0.6, 0.5, 0.4, 0.3)
TEST_LEVELS = (0.6, 0.55, 0.5, 0.48)


def ratios_to_none(name, r):
    """For every way to count: one ratio for each seed, both at the rate r."""
    pair = cells[name, r], cells["none", r]
    found = [thinned.ratios(*pair, level) for level in LEVELS]
    found += [thinned.ratios(*pair, level, "test_error") for level in TEST_LEVELS]
    return [*found, thinned.ratios(*pair)]


by_rate = {
    r: {name: ratios_to_none(name, r) for name in ("2012", "inverted") if (name, r) in cells}
    for r in shared
    if ("none", r) in cells
}
names = [f"training\n{level:.0%}" for level in LEVELS] + [f"test\n{level:.0%}" for level in TEST_LEVELS]
figure, axes = plt.subplots(1, len(by_rate), figsize=(12, 4.6), squeeze=False, sharey=True)
for ax, (r, rows) in zip(axes[0], by_rate.items(), strict=True):
    thinned.draw_ratios(ax, {titles[k]: v for k, v in rows.items()}, [*names, "best\ntest"])
    ax.set_title(f"with and without dropout, both at ε = {r:g}")
figure.suptitle("How many times the epochs until an error is reached: a mark for each seed (recorded)")
plt.tight_layout()
plt.show()

# %%
for r, rows in by_rate.items():
    for name, found in rows.items():
        print(f"{name} against none, both at ε = {r:g}: the ratio for each seed, – where it is not reached")
        for words, values in zip([*names, "best\ntest"], found, strict=True):
            texts = ["–" if value is None else f"{value:.2f}" for value in values]
            print(f"    {words.replace(chr(10), ' '):14} {'   '.join(texts)}")

# %% [markdown]
# **And each at its best rate?** A ratio at equal rates could be one of rates only. So for each form take, of the rates that
# were run, that with the lowest test error, and count until the error of the training images is the same.

# %%
best = {}
for name in ("none", "2012", "inverted"):
    tried = {r: cell for (variant, r), cell in cells.items() if variant == name}
    best[name] = min(tried, key=lambda r: tried[r].curves.groupby("seed")["test_error"].min().sum())
    rates = ", ".join(f"{r:g}" for r in sorted(tried))
    print(f"{name}: run at ε = {rates}; best ε = {best[name]:g}")
at_best = {name: cells[name, best[name]] for name in best}
for level in LEVELS:
    for name in ("2012", "inverted"):
        found = thinned.ratios(at_best[name], at_best["none"], level)
        print(f"training error {level:.0%}, {name} against none:", end=" ")
        print("   ".join("–" if value is None else f"{value:.2f}" for value in found))

# %% [markdown]
# **How to read it.** Every count but the last is a time until both networks are *equally good*. At one and the same rate,
# $\varepsilon = 0.005$, the training error with the mask of 2012 takes 1.7 to 2.2 times as many epochs to come down to each
# of the levels, in every seed. That is the paper's "roughly doubles". The test error takes 1.3 to 1.9 times as many. "Best test" says
# least: the network with dropout is at its best in one of its last epochs, so it had not converged, and the ratio is only a
# lower limit. And what it converges to is another error: its best is lower than any that the network without dropout reaches.
#
# **Overfitting.** Without dropout nearly all training images end up right, and more than 40% of the test images wrong.
# The mask of 2012 more than halves the distance, and takes about four points off the test error. Three seeds each: the
# interval is wide, but it does not hold 0.
#
# **Inverted at the same rate is another experiment.** It ends worse than the mask of 2012 at $\varepsilon = 0.005$, by several
# points, and its ratios scatter more. Section 2 says what is different: `fc5` and `fc6` start at twice the scale and learn
# four times as fast. So a learning rate that was found with one form must not be taken over to the other.
#
# **Equal rates or best rates?** The ratios at equal rates say what the mask costs. Those at the best rates say what a user
# pays, but they mix the mask with the rate, and few rates were tried: the lines above name them.

# %%
counted = by_rate[0.005]["2012"]
assert all(1.7 < value < 2.2 for values in counted[: len(LEVELS)] for value in values)
assert all(1.3 < value < 1.95 for values in counted[len(LEVELS) : -1] for value in values)
best_of = {name: thinned.curves_by_seed(same.of(variant=name)).values() for name in ("none", "2012")}
assert all(thinned.epochs_to_best(curve) >= 32 for curve in best_of["2012"])
lowest = {name: [curve["test_error"].min() for curve in curves] for name, curves in best_of.items()}
assert max(lowest["2012"]) < min(lowest["none"])
assert max(same.values("none", "train_error")) < 0.06
assert min(same.values("none")) > 0.4
assert max(same.values("2012", "gap")) < 0.5 * min(same.values("none", "gap"))
assert -5 < same.gap("2012", "none").value < -3
assert same.gap("2012", "none").high < 0
assert same.gap("inverted", "2012").value > 3

# %% [markdown]
# ## 5 · Look
#
# **Masks on a small network.** Move *masks drawn*: how many thinned networks does it take until their geometric mean is
# as near to the mean of all as the network with all units and scaled outputs? Then take the deeper network. Then the
# inverted form: what changes, and what does not?

# %% tags=["nbval-ignore-output"]
thinned.dropout_explorer()

# %% [markdown]
# **A trained network, all of its $2^{16}$ thinned networks.** A small classifier with hidden layers of 8 and 8 units is
# trained with the mask of 2012 on what `fc5` of your network reads. Between the first mask and the logits lies a ReLU
# layer and a second mask, so the halved network is not the geometric mean. How far off is it, and how many masks would
# one have to draw to come as near?

# %% tags=["nbval-ignore-output"]
generator = torch.Generator().manual_seed(0)
picked = torch.randperm(len(train), generator=generator)[:2000]
inputs = thinned.read_head(live["2012"].network, prepare(train.pixels[picked]), "fc5")[0].float()
labels, unit = train.labels[picked], inputs.std()
torch.manual_seed(0)
first = nn.Sequential(nn.Linear(512, 8), nn.ReLU())
head = nn.Sequential(first, Dropout(), nn.Linear(8, 8), nn.ReLU(), Dropout(), nn.Linear(8, 10))
adam = torch.optim.Adam(head.parameters(), lr=0.005)
for _ in range(200 if scale == "quick" else 1000):
    batch = torch.randint(len(inputs), (256,))
    adam.zero_grad()
    F.cross_entropy(head(inputs[batch] / unit), labels[batch]).backward()
    adam.step()

# %% tags=["nbval-ignore-output"]
order = torch.randperm(len(test), generator=generator)
some = order[: 10 if scale == "quick" else 40]
inputs = thinned.read_head(live["2012"].network, prepare(test.pixels[some]), "fc5")[0].float()
labels, h = test.labels[some], first(inputs / unit).detach().double()
layers = [(layer.weight.detach().double(), layer.bias.detach().double()) for layer in (head[2], head[5])]
both = thinned.all_masks(16).split([8, 8], dim=1)  # 2¹⁶ networks
whole = thinned.whole_logits(h, layers).log_softmax(-1)
every, average = [], []
for x in h.split(10):
    logits = thinned.thinned_logits(x, layers, both)  # (2¹⁶, 10, 10)
    every.append(thinned.geometric_mean(logits))
    average.append(thinned.arithmetic_mean(logits))
every, average = torch.cat(every), torch.cat(average)
for name, p in (("halved network", whole), ("arithmetic mean of all", average)):
    off = (every.exp() - p.exp()).abs().max(1).values
    print(
        f"{name:23} KL from the geometric mean of all: {thinned.divergence(every, p).mean():.4f} nats;",
        end=" ",
    )
    print(f"a probability is off by up to {off.mean():.3f} (mean over the images), {off.max():.3f} (worst)")
for name, p in (("geometric mean of all", every), ("halved network", whole), ("arithmetic mean", average)):
    print(f"{name:23} test error {(p.argmax(1) != labels).double().mean():.1%}")

# %% tags=["nbval-ignore-output"]
counts = (1, 3, 10, 30, 100, 300, 1000)
drawn = torch.randint(2**16, (1000,), generator=generator)
sampled = thinned.thinned_logits(h, layers, [m[drawn] for m in both])
nearness = {
    name: [thinned.divergence(every, mean(sampled[:count])).mean().item() for count in counts]
    for name, mean in (("drawn", thinned.geometric_mean), ("arithmetic", thinned.arithmetic_mean))
}
figure, ax = plt.subplots(figsize=(7.5, 4.4))
thinned.draw_divergence(ax, counts, nearness, thinned.divergence(every, whole).mean().item())
ax.set_xlabel("masks drawn")
ax.set_ylabel("KL from the geometric mean of all\n65,536 networks (nats, mean over images)")
ax.set_title(f"A trained network with 8 + 8 hidden units{figure_note(images)}")
ax.legend(frameon=False, fontsize=9)
plt.tight_layout()
plt.show()
assert nearness["drawn"][-1] <= nearness["drawn"][0] + 1e-12

# %% [markdown]
# **How to read it.** The line is the halved network, the triangles are geometric means of so many thinned networks. The
# halved network is one forward pass. Where the triangles cross the line, that many passes come as near.

# %% [markdown]
# **The network with 512 + 512 units** has $2^{1024}$ thinned networks. Nobody can list them, but their predictions can be
# sampled: masks are drawn in test, too, and the distributions averaged.

# %% tags=["nbval-ignore-output"]
some = order[: 100 if scale == "quick" else 400]
seen, labels = prepare(test.pixels[some]), test.labels[some]
heads = {name: thinned.read_head(live[name].network, seen, "fc5") for name in ("none", "2012", "inverted")}
h, layers = heads["2012"]
generator = torch.Generator().manual_seed(0)
sampled = []
for _ in range(10 if scale == "quick" else 25):
    drawn = [thinned.draw_masks(4, 512, 0.5, generator) for _ in range(2)]
    sampled.append(thinned.thinned_logits(h, layers, drawn))
sampled, whole = torch.cat(sampled), thinned.whole_logits(h, layers).log_softmax(-1)


def error_of(p):
    return (p.argmax(-1) != labels).double().mean().item()


print(
    f"one thinned network: test error {sum(map(error_of, sampled)) / len(sampled):.1%} (mean of {len(sampled)})"
)
for count in (5, 20, len(sampled)):
    for name, mean in (("geometric", thinned.geometric_mean), ("arithmetic", thinned.arithmetic_mean)):
        p = mean(sampled[:count])
        print(f"{name:10} mean of {count:3}: {error_of(p):.1%}, KL to the halved network", end=" ")
        print(f"{thinned.divergence(p, whole).mean():.4f} nats")
print(f"halved network: {error_of(whole):.1%}")

# %% [markdown]
# **How to read it.** One thinned network alone is worse than the halved one; their mean catches up as more of them are
# drawn. The geometric mean comes nearer to the halved network (smaller KL), and lies nearer to it than the arithmetic mean
# of the same networks. The halved network gets there in one pass. Among 400 images the standard error of a test error is
# about 2.5 points, so differences of one or two points in the errors say nothing.

# %%
both_means = (thinned.geometric_mean(sampled), thinned.arithmetic_mean(sampled))
off = [thinned.divergence(mean, whole).mean() for mean in both_means]
if not train.synthetic:
    assert off[0] < off[1]
    assert sum(map(error_of, sampled)) / len(sampled) > error_of(whole)

# %% [markdown]
# **Co-adaptation.** The paper's reason for dropout: a unit cannot rely on particular other units being there. If that is so, a
# network trained without dropout should lean more on single units and on particular combinations. Two looks. First, in
# test, switch off one hidden unit at a time and see how far the logits move, compared with how far they spread. Second,
# switch off many at once.

# %% tags=["nbval-ignore-output"]
change = {}
for name in ("none", "2012"):
    h, layers = heads[name]
    whole = thinned.whole_logits(h, layers)
    logits = thinned.without_each(h, layers)  # (512, images, 10)
    change[titles[name]] = thinned.relative_change(logits, whole)
    flipped = thinned.changed_predictions(logits, whole)
    idle = (h == 0).all(0).double().mean().item()
    print(
        f"{titles[name]:20} one unit off: the logits move by {change[titles[name]].mean():.3f} of their spread",
        end="",
    )
    print(
        f" (largest {change[titles[name]].max():.3f}), {flipped.mean():.2%} of the predictions change;",
        end=" ",
    )
    print(f"{idle:.0%} of the units are 0 on all images")
shares = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
generator = torch.Generator().manual_seed(0)
kept = {titles[name]: thinned.errors_with_masks(*heads[name], labels, shares, 5, generator) for name in heads}

# %% tags=["nbval-ignore-output"]
figure, (left, right) = plt.subplots(1, 2, figsize=(13, 4.6))
thinned.draw_sorted(
    left, change, "root mean square change of the logits / their spread", "share of the units", ""
)
left.set_title("One of the 512 units of fc4 off: units that matter at least so much")
thinned.draw_errors_with_masks(right, kept, 0.9, "Many units off at once, a mark for each draw")
figure.suptitle(f"Your networks, {len(labels)} test images{figure_note(images)}")
plt.tight_layout()
plt.show()

# %% [markdown]
# **How to read it.** On the left, a line further to the right is a network in which more units matter more. Without
# dropout a single unit moves the logits more than twice as far, in the mean over the units. On the right, at 0, both
# are whole. Leave out half of the units, which is what training with masks was used to, and the networks with dropout
# lose a few points. The network without dropout was never asked to do with fewer units, and it loses far more. That is
# what the paper calls co-adaptation: units that are right only together. (It fits its training images better than the
# others, too; part of what is seen may be that.)

# %%
by_unit = [change[titles[name]].mean().item() for name in ("none", "2012")]
lost = {label: sum(errors[0.5]) / 5 - errors[1.0][0] for label, errors in kept.items()}
if not train.synthetic:
    assert by_unit[0] > 1.5 * by_unit[1]
    assert lost[titles["none"]] > 2 * max(lost[titles["2012"]], lost[titles["inverted"]])

# %% [markdown]
# ## 6 · What the 2012 code did
#
# The layer is called `hs` ("HiddenSexLayer", `layer.cu`). It stands after the ReLU of both fully connected layers, with
# `keep = 0.5`. In training it multiplies by a fresh 0/1 mask and scales *nothing*. In every other pass (test, ten views,
# writing features) it multiplies by `keep`. That is what §4.2 says. PyTorch's `nn.Dropout` does it the other way round.
#
# **What happens when weights of 2012 are put into a network with `nn.Dropout`?** In test that layer does nothing: nobody
# halves the outputs.

# %% tags=["nbval-ignore-output"]
h, layers = heads["2012"]
first, *rest = layers
folded = [(0.5 * weight, bias) for weight, bias in layers]
ways = {
    "outputs × 0.5, as in 2012": thinned.whole_logits(h, layers, 0.5),
    "nn.Dropout: not scaled": thinned.whole_logits(h, layers, 1.0),
    "nn.Dropout, 0.5 in the weights": thinned.whole_logits(h, folded, 1.0),
}
for name, logits in ways.items():
    print(
        f"{name:31} test error {error_of(logits):.1%}, loss {F.cross_entropy(logits, labels):.2f} nats,",
        end=" ",
    )
    print(f"mean of the largest probability {logits.softmax(-1).max(-1).values.mean():.2f}")
first, unscaled, last_one = ways.values()
assert torch.allclose(first, last_one)
assert unscaled.std() > 2 * first.std()

# %% [markdown]
# **How to read it.** The first and the last line are the same network. In between, each layer reads twice what it should,
# and the logits are far too large. The error moves little, for the largest logit is mostly still the largest. But the
# network is much too sure of itself, and the loss shows it. Whoever looks at the error alone may miss the fault.

# %%
if not train.synthetic:
    assert F.cross_entropy(unscaled, labels) > 1.3 * F.cross_entropy(first, labels)
    assert abs(error_of(unscaled) - error_of(first)) < 0.1

# %% [markdown]
# **What the authors tried around it.** From the notes at the end of the parameter files (the networks of runs 109 to 115 are
# older ones than that of the paper):
#
# | run | what it was | what they noted |
# |---|---|---|
# | 109 | three fully connected layers, 2048 units per GPU | overfits |
# | 111 | three of them, *all* dropped out | worse, it underfits |
# | 114 | three of them, 3072 units per GPU | worse than 115, which has two |
# | 96-16k | 16,649 classes | dropout was switched on at epoch 6 only |
# | 177 | dropout 0.8 on conv4 | a result, below |
#
# Your own network with three hidden layers that are all dropped out, against that with two:

# %%
of_177 = RUNS_2012["177"]  # from the end of layer-params-177.cfg
print(f"177: {of_177} ({of_177.on}); 145, the network of the paper: {RUNS_2012['145']}")
assert of_177.top1 > RUNS_2012["145"].top1
assert of_177.top5 > RUNS_2012["145"].top5

# %% tags=["nbval-ignore-output"]
for name in ("2012", "three"):
    curve = {what: live[name].column(what) for what in ("train_error", "test_error")}
    print(
        f"{titles[name]:27} training error {curve['train_error'][-1]:.1%}, test {curve['test_error'][-1]:.1%}",
        end="",
    )
    print(f" after {epochs} epochs{' (synthetic images)' * train.synthetic}")

# %% [markdown]
# **How to read it.** Run 177 is not better than the network of the paper. It came later and may differ in more than this, and
# the difference is below a tenth of a point. With a third layer that is dropped out, the small network is behind in both
# errors after the same epochs. After so few it cannot be told whether it underfits, as the authors noted of run 111, or
# is only slower still.

# %% [markdown]
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("09.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **09.1** (5 minutes, easy). Two layers of 4096 units are dropped out. The number of thinned networks is a power of 2.
# How many decimal digits does it have?

# %%
answer_1 = None
check("09.1", answer_1)

# %% [markdown]
# **09.2** (10 minutes, medium). Write a function that takes the logits (M, K) of M networks for one image and gives
# the renormalized geometric mean of their distributions, (K,).


# %%
def geometric_mean_of(logits): ...


answer_2 = None  # geometric_mean_of
check("09.2", answer_2)

# %% [markdown]
# **09.3** (10 minutes, medium). Units are kept with $p = 0.8$. By what factor must the learning rate of the weights that
# read them be larger in the form of 2012, so that both forms train alike?

# %%
answer_3 = None
check("09.3", answer_3)

# %% [markdown]
# **09.4** (15 minutes, medium). Write a function of `w` (n,), `h` (n,) and `keep` that gives the variance of
# $\sum_i w_i m_i h_i$ over all masks, in the form of 2012.

# %%
answer_4 = None  # lambda w, h, keep: ...
check("09.4", answer_4)

# %% [markdown]
# **09.5** (10 minutes, harder). One unit with $h = 1$, a logistic output with weight $w$ and no bias: the two thinned
# networks say $\sigma(0)$ and $\sigma(w)$, the halved one $\sigma(w/2)$. Find a $w$ for which the halved network lies at
# least 0.2 away from the *arithmetic* mean of the two.

# %%
answer_5 = None
check("09.5", answer_5)

# %% [markdown]
# ## 8 · Verdict

# %%
verdict(
    ["dropout-iters", "dropout-geomean"],
    why={
        "dropout-iters": "At one and the same rate the training error takes 1.7 to 2.2 times as many epochs to reach each "
        "level, in every seed; the test error 1.3 to 1.9 times. Without dropout the small network overfits far. Equal rates, "
        "the mask of 2012: the inverted form at that rate is another experiment, for its layers learn four times as fast.",
        "dropout-geomean": "Exact for one softmax layer: a line of algebra, and enumeration to 1e-12. For two layers the "
        "halved network is near the geometric mean, not equal to it.",
    },
)

# %%
if my_times_the_epochs is not None:
    found = by_rate[rate]["2012"][LEVELS.index(0.4)]
    print(f"epochs to 40%: you predicted {my_times_the_epochs:g} times, measured", end=" ")
    print(", ".join(f"{x:.2f}" for x in found), "(recorded)")
if my_points_saved is not None:
    saved = -same.gap("2012", "none").value
    print(f"points saved: you predicted {my_points_saved:g}, measured {saved:.2f} (recorded)")

# %% [markdown]
# **To repeat the record**: `alexnet-edu experiment dropout`. It trains all seeds of each form at each rate, can be killed
# at any moment, goes on when called again, and writes `data/results/dropout.json`.
#
# **Next**: notebook 10, the update rule of §5: momentum, weight decay, and when the learning rate falls.
