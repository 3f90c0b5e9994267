# %% [markdown]
# # 10 · SGD and initialization: why does my AlexNet not train?
#
# **The claims** (§5). The network is trained by stochastic gradient descent: batches of 128, momentum 0.9, weight decay
# 0.0005. The decay is said to do more than regularize: it lowers the *training* error. Weights start from
# $N(0, 0.01^2)$; biases start at 1 in conv2, conv4, conv5 and the hidden fully connected layers, at 0 elsewhere, which
# is said to speed up early learning. One learning rate $\epsilon$ serves all layers. It starts at 0.01 and is divided by ten
# whenever the validation error stops improving, three times in about 90 epochs.
#
# **What to know first.** Gradient descent, a standard deviation, and that $\mathrm{Var}(aX) = a^2\,\mathrm{Var}(X)$.
#
# **What you will have at the end.** The rule, to the last digit, and where PyTorch's differs; each of the claims tested on
# CIFAR-10; and the *clinic*: 36 ways to start the network of the paper, what arrives in each of its layers, and why most
# people who rebuild AlexNet see a loss that stands at $\ln 1000 = 6.908$ (or $\ln 10 = 2.303$) and does not move.
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | the rule, two small trainings and a thin network in the clinic, on the synthetic stand-in | under a minute |
# | `laptop` | the same on real CIFAR-10, and two cells of the clinic at the paper's full size | about 4 minutes on two cores |
# | `gpu`, `paper` | the same as `laptop`, longer trainings | about 6 minutes |
#
# The scale is one word, `ALEXNET_EDU_SCALE`. The long experiments (three seeds for each variant, and all 36 cells of the
# clinic) were recorded earlier. Where they are shown it says *recorded*.

# %%
import math
import statistics

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.ticker import PercentFormatter

from alexnet_edu import paper
from alexnet_edu.data.cifar10 import figure_note, load_cifar10, runs_dir
from alexnet_edu.data.images import ImageSet
from alexnet_edu.environment import current_scale, results_dir
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import sgd as lesson
from alexnet_edu.model.architecture import fan_ins, variant
from alexnet_edu.show import plots
from alexnet_edu.studies import ablations as studies
from alexnet_edu.studies import clinic, study
from alexnet_edu.studies.clinic import Setting
from alexnet_edu.studies.engine import Runs
from alexnet_edu.studies.record import load
from alexnet_edu.studies.run import INITIAL, build
from alexnet_edu.studies.statistics import crossing
from alexnet_edu.training import sgd
from alexnet_edu.training.loop import TrainConfig, fit
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

scale, images = current_scale(), load_cifar10()
note = f"\n{figure_note(images)}" if images.synthetic else ""
recorded = {name: load(name) for name in ("start", "decay", "schedule")}
cells = clinic.load()

# %% [markdown]
# ## 1 · Predict
#
# Take the network of the paper, with its own weights $N(0, 0.01^2)$, its own biases and its own $\epsilon = 0.01$. Change one
# thing: give it pixels from 0 to 1 (minus the mean), as nearly every data loader does today, in place of 0 to 255. Let it
# learn ten images by heart, one of each class. **What is its loss after 60 steps?** Chance is 2.303. And: **by what factor
# do the ten images differ less in its logits, before the first step,** than with pixels from 0 to 255?
#
# Write your numbers down before you read on. They come back at the end.

# %%
my_loss = None  # for example 0.5
my_factor = None  # for example 255

# %% [markdown]
# ## 2 · Derive
#
# **The rule.** With $g$ the mean gradient of the batch, §5 prints
#
# $$v \leftarrow 0.9\,v - 0.0005\,\epsilon\,w - \epsilon\,g, \qquad\qquad w \leftarrow w + v .$$
#
# PyTorch's `torch.optim.SGD` keeps another vector, $b \leftarrow 0.9\,b + g + 0.0005\,w$, and steps $w \leftarrow w -
# \epsilon\,b$. Here are both, in two lines each.


# %%
def paper_step(w, v, g, rate):
    v = 0.9 * v - 0.0005 * rate * w - rate * g
    return w + v, v


def torch_step(w, b, g, rate):
    b = 0.9 * b + g + 0.0005 * w
    return w - rate * b, b


# %% [markdown]
# While $\epsilon$ is constant, $v = -\epsilon\,b$ at every step, by induction: multiply PyTorch's line by $-\epsilon$. The
# weights are the same. When $\epsilon$ falls from $\epsilon_1$ to $\epsilon_2$ the two part. The paper's $v$ stays what it
# was. PyTorch's step is now $\epsilon_2\,b$: smaller by the same factor, at once.
#
# **How far does an old velocity carry?** Without any gradient the paper's $v$ takes the weights on by
#
# $$0.9\,v + 0.9^2\,v + \dots = \frac{0.9}{1 - 0.9}\,v = 9\,v.$$
#
# In PyTorch's form the same steps are multiplied by $\epsilon_2/\epsilon_1 = 1/10$ first: $0.9\,v$ in all.
# **The repair** follows: multiply $b$ by $\epsilon_1/\epsilon_2$ once, between the two rates.

# %%
generator = torch.Generator().manual_seed(0)
A = torch.randn(30, 30, generator=generator, dtype=torch.float64) / 30**0.5
start = torch.randn(30, generator=generator, dtype=torch.float64)


def descend(step, rates, repair=False):
    """Minimizes |Aw|²/2; the weights after each step."""
    w, v, path, before = start, torch.zeros_like(start), [], rates[0]
    for rate in rates:
        v = v * (before / rate) if repair else v
        w, v = step(w, v, A.T @ (A @ w), rate)
        before = rate
        path.append(w)
    return torch.stack(path)


constant, falling = [0.05] * 200, [0.05] * 100 + [0.005] * 100
apart = {
    "ε constant": descend(paper_step, constant) - descend(torch_step, constant),
    "ε falls to a tenth after step 100": descend(paper_step, falling) - descend(torch_step, falling),
    "the same, and b times ten": descend(paper_step, falling) - descend(torch_step, falling, repair=True),
}
for name, difference in apart.items():
    print(
        f"{name:34} largest difference of a weight: {'below 1e-12' if difference.abs().max() < 1e-12 else 'above 1e-3'}"
    )
assert apart["ε constant"].abs().max() < 1e-12
assert apart["the same, and b times ten"].abs().max() < 1e-12
assert apart["ε falls to a tenth after step 100"][:100].abs().max() < 1e-12
assert apart["ε falls to a tenth after step 100"].abs().max() > 1e-3

# %%
v = torch.ones(1, dtype=torch.float64)  # the velocity at the moment when ε falls to a tenth
still = torch.zeros_like(v)  # neither gradient nor decay: w starts at 0, too small to decay much
way = {"paper's form": [0.0], "PyTorch's form": [0.0]}
w, old = still, v
for _ in range(60):
    old = 0.9 * old
    way["paper's form"].append(way["paper's form"][-1] + old.item())
    way["PyTorch's form"].append(way["PyTorch's form"][-1] + 0.1 * old.item())
figure, ax = plt.subplots(figsize=(7.5, 3.6))
lesson.draw_lines(ax, range(61), way, ("steps after ε fell to a tenth", "way so far, in units of |v|"))
ax.set_title("An old velocity coasts: 9 times its size, or 0.9 times")
plt.tight_layout()
plt.show()
print({name: round(points[-1], 1) for name, points in way.items()})
assert abs(way["paper's form"][-1] - 9) < 0.1
assert abs(way["PyTorch's form"][-1] - 0.9) < 0.01

# %% [markdown]
# **How to read it.** Nine steps' worth of way at the old rate are still to come when a person of 2012 divides $\epsilon$ by ten. In
# PyTorch nine tenths of one step are. Nobody has to fear either: at three drops in 90 epochs it is a matter of some dozen
# steps. But who compares two programs to the last digit has to know it.
#
# **How large are the numbers in a layer?** One output is $z = \sum_{i=1}^{n} w_i x_i + b$, with $n$ inputs (the *fan-in*)
# and weights $w_i \sim N(0, \sigma^2)$, independent of each other. For *any* inputs $x$ at all
#
# $$\mathbb{E}\,(z - b)^2 = \sigma^2 \sum_{i=1}^{n} x_i^2 = n\,\sigma^2\;\overline{x^2}.$$
#
# The same holds for what distinguishes two images, $x - x'$: it comes out $\sqrt{n}\,\sigma$ times as large as it went in
# (root mean square). ReLU then halves the power of a signal that is as often negative as positive. So the **gain** of a layer is
#
# $$\sqrt{n/2}\;\sigma \quad \text{where half of the ReLUs are off}, \qquad\qquad \sqrt{n}\;\sigma \quad \text{where all are
# on}.$$
#
# And there is what the **biases of 1** do. When weights are small, $z \approx 1 > 0$: all ReLUs are on, nothing is halved, and
# every gradient gets through on its way back as well. A gain of $\sqrt 2$ per layer, in both directions, in five of eight layers.

# %%
reads = fan_ins(variant("paper"))
stds = {
    init: {layer.name: layer.std for layer in clinic.table_of(Setting(init=init)).layers}
    for init in clinic.INITS
}
print("layer   fan-in   gain √(n/2)·σ:" + "".join(f"{init:>10}" for init in stds))
for name, n in reads.items():
    print(
        f"{name:6}{n:8,}" + " " * 17 + "".join(f"{(n / 2) ** 0.5 * std[name]:10.2f}" for std in stds.values())
    )
gains = {
    init: math.prod((n / 2) ** 0.5 * std[name] for name, n in reads.items()) for init, std in stds.items()
}
print("all eight" + " " * 22 + "".join(f"{gain:10.4f}" for gain in gains.values()))
assert gains["paper"] < 0.001 < gains["run145"] < 0.01
assert all((n / 2) ** 0.5 * stds["paper"][name] < 1 for name, n in reads.items())
assert all(abs((n / 2) ** 0.5 * stds["he"][name] - 1) < 1e-9 for name, n in reads.items())

# %% [markdown]
# **How to read it.** He's rule (2015) sets every gain to 1. With the paper's 0.01 no gain reaches 1, and all eight together
# leave less than a thousandth of what went in. That is without normalization, which multiplies by $2^{-0.75} = 0.59$
# twice, and without the factor 0.5 of dropout, twice. **Then why did it work in 2012?** Because pixels from 0 to 255, minus the
# mean, have a root mean square of about 60. Pixels from 0 to 1 have 0.25, and nobody gives the missing 255 back.
#
# ## 3 · Bridge
#
# The inline rules are the package's `PaperSGD`, PyTorch's `SGD`, and `rescale_momentum`, step for step in double precision.


# %%
def with_optimizer(make, rates, rescale=False):
    w, path = start.clone().requires_grad_(), []
    optimizer = make([w], lr=rates[0], momentum=0.9, weight_decay=0.0005)
    for before, rate in zip([rates[0], *rates], rates, strict=False):
        if rescale and rate != before:
            sgd.rescale_momentum(optimizer, before, rate)
        optimizer.param_groups[0]["lr"] = rate
        w.grad = A.T @ (A @ w.detach())
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


for rates in (constant, falling):
    assert (with_optimizer(sgd.PaperSGD, rates) - descend(paper_step, rates)).abs().max() < 1e-12
    assert (with_optimizer(torch.optim.SGD, rates) - descend(torch_step, rates)).abs().max() < 1e-12
    repaired = with_optimizer(torch.optim.SGD, rates, rescale=True)
    assert (repaired - descend(paper_step, rates)).abs().max() < 1e-12
print("equal to 1e-12: PaperSGD, torch.optim.SGD, and torch.optim.SGD with rescale_momentum at the drop")

# %% [markdown]
# **What of 2012 parameter groups can say.** Biases learn twice as fast as weights, they do not decay, and late in the run
# conv1 is frozen. In PyTorch each of these is a *group* with its own numbers.

# %%
thin = clinic.build(Setting(), divisor=16)
names = {id(p): name for name, p in thin.named_parameters()}
for group in sgd.parameter_groups(thin, 0.01, separate=["stages.conv1"]):
    members = [names[id(p)].removeprefix("stages.").replace(".weights", "") for p in group["params"]]
    print(f"ε = {group['lr']:g}, decay {group['weight_decay']:g}: {', '.join(members)}")

# %% [markdown]
# `TrainConfig(frozen=(("stages.conv1", 72),))` sets the rate of conv1 to 0 from epoch 72 on. A small network, with
# conv1 frozen after the first of two epochs:

# %%
some = images.train.subset(
    torch.randperm(len(images.train), generator=torch.Generator().manual_seed(0))[:400]
)
small = build(studies.small_alexnet(), 32, 10, INITIAL)
kept = []
config = TrainConfig(
    0.005, weight_decay=0.0005, batch_size=50, evals_per_epoch=1, precision="float32",
    rule="paper", bias_rate=2.0, decay_biases=False, frozen=(("stages.conv1", 1),),
)  # fmt: skip
fit(
    small,
    some.pixels,
    some.labels,
    config,
    prepare=lambda x: (x.float() - 128) / 64,
    max_epochs=2,
    on_point=lambda run: kept.append({name: p.detach().clone() for name, p in small.named_parameters()}),
)
moved = {name: not torch.equal(kept[0][name], kept[1][name]) for name in kept[0]}
print("moved in the second epoch:", ", ".join(n.removeprefix("stages.") for n, did in moved.items() if did))
assert [name for name, did in moved.items() if not did] == [
    "stages.conv1.weights.weight",
    "stages.conv1.weights.bias",
]

# %% [markdown]
# ## 4 · Run: the claims of §5 on CIFAR-10
#
# The network is a small AlexNet: three convolutions and two hidden layers of 512 units, on crops of 24 × 24 pixels.
#
# ### Biases of 1 and early learning
#
# Weights $N(0, 0.01^2)$, raw pixels minus the mean, three epochs; biases of conv2 and the hidden layers at 1 or at 0.
# **Your own run**, with a seed that the record does not have:

# %% tags=["nbval-ignore-output"]
train, test, epochs, changes = images.train, images.test, {"quick": 2, "laptop": 2}.get(scale, 3), {}
if scale == "quick":
    train, test, changes = train.subset(torch.arange(600)), test.subset(torch.arange(200)), {"batch_size": 50}
runs = Runs(ImageSet(train, test), None)
live = study.live(studies.STUDIES["start"], {"zeros": 0.005, "ones": 0.005}, runs, epochs, **changes)
for name, run in live.items():
    losses = ", ".join(f"{loss:.2f}" for loss in run.column("loss"))
    assert all(math.isfinite(loss) for loss in run.column("loss"))
    print(f"biases at {name}: loss, five times an epoch: {losses}{' (synthetic images)' * train.synthetic}")

# %% [markdown]
# **The recorded runs**: three seeds for each, at each rate.

# %%
at_start = {rate: recorded["start"].at_rate(rate) for rate in recorded["start"].shared_rates()}
count = len(at_start)
figure, axes = plt.subplots(1, count, figsize=(5.2 * count + 1, 4), sharey=True, squeeze=False)
for ax, (rate, same) in zip(axes[0], at_start.items(), strict=True):
    plots.learning_curves(ax, same.curves, "train_error", f"ε = {rate:g} (recorded)")
plt.tight_layout()
plt.show()
print(recorded["start"].origin())


# %%
def iterations_until(curve, level):
    """Iterations (batches of 128) until the training error is at `level`, straight between two points."""
    per_epoch = math.ceil(recorded["start"].provenance["data"]["images"] / 128)
    epochs, errors = [0.0, *curve["epoch"]], [0.9, *curve["train_error"]]  # 0.9: at chance
    return per_epoch * crossing(epochs, errors, level)


ahead = {}
for rate, same in at_start.items():
    for level in (0.7, 0.6, 0.5):
        needed = {name: [] for name in same.variants}
        for (name, _), curve in same.curves.groupby(["variant", "seed"]):
            needed[name].append(iterations_until(curve, level))
        ahead[rate, level] = statistics.fmean(needed["zeros"]) - statistics.fmean(needed["ones"])
        words = "; ".join(
            f"{name} {', '.join(f'{n:.0f}' for n in sorted(ns))}" for name, ns in needed.items()
        )
        print(f"ε = {rate:g}, training error {level:.0%}: iterations with biases at {words}")

# %% [markdown]
# **How to read it.** With biases at 1 the network starts at once. With biases at 0 it first stands still, and then it
# learns as fast: the curves are alike, but one is late, by about the same number of iterations at each of the three levels.
# Here that is less than a quarter of an epoch. A longer run would hardly notice it.

# %%
assert all(40 < late < 130 for (rate, _), late in ahead.items() if rate == 0.005)
assert all(late > 0 for late in ahead.values())
losses = at_start[0.005].curves.pivot(index="epoch", columns=["variant", "seed"], values="loss")
assert losses["zeros"].iloc[0].min() > 2.29  # the first fifth of an epoch: at chance
assert losses["ones"].iloc[1].max() < losses["zeros"].iloc[1].min()

# %% [markdown]
# ### Weight decay and the training error
#
# Crops and reflections, ten epochs, §5's rule, three seeds, weight decay 0 and 0.0005.

# %%
by_rate = {rate: recorded["decay"].at_rate(rate) for rate in recorded["decay"].shared_rates()}
figure, axes = plt.subplots(2, len(by_rate), figsize=(6.2 * len(by_rate), 5), sharex="row", squeeze=False)
for column, (rate, same) in zip(axes.T, by_rate.items(), strict=True):
    for ax, what in zip(column, ("train_error", "test_error"), strict=True):
        plots.last_errors(ax, same.runs, what, f"ε = {rate:g} (recorded)")
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=1))
plt.tight_layout()
plt.show()
print(recorded["decay"].origin())
for rate, same in by_rate.items():
    both = (same.paired_gap("0.0005", "0", what).signed for what in ("train_error", "test_error"))
    title = same.of(variant="0.0005").runs["title"].iloc[0]
    print(f"ε = {rate:g}, {title} minus none, in points: training error {'; test error '.join(both)}")

# %% [markdown]
# **How to read it.** Runs of one seed start from the same weights and see the same images in the same order, with and without
# decay. So the difference is taken seed by seed. The 95% interval is that of the three differences; it knows how seeds differ,
# and nothing else.
#
# **What came out.** At $\epsilon = 0.005$ the training error *is* lower with 0.0005, with each of the three seeds, by about one
# point, and the interval does not hold 0. On a small network and in ten epochs this is what the paper claims. It is a small effect:
# the seeds themselves lie three points apart, and unpaired, three seeds could not show it. It is not a saving in test error
# that is paid for in training error, as a regularizer would have it. *Why* it is so this experiment does not say. Decay is slow: at
# $\epsilon = 0.01$ and momentum 0.9 a weight without gradient shrinks by half in about 14,000 steps (exercise 10.5), and these
# are 4,000 at half that rate.

# %%
same = by_rate[min(by_rate)]
pairs = zip(*(same.values(name, "train_error") for name in ("0", "0.0005")), strict=True)
assert all(without > decayed for without, decayed in pairs)
assert same.paired_gap("0.0005", "0", "train_error").low > -2
assert same.paired_gap("0.0005", "0", "train_error").high < 0
assert same.gap("0.0005", "0", "train_error").high > 0  # unpaired it would hold 0

# %% [markdown]
# ### The schedule
#
# The paper's rule of thumb is a function of the validation errors so far and of nothing else: the rate falls when there
# was no new best for some measurements in a row. The release shows when a person really did it:

# %%
errors = [0.60, 0.50, 0.45, 0.46, 0.45, 0.40, 0.41, 0.42, 0.41, 0.43]
print("validation errors:", errors)
print("the rate falls after measurement", PlateauSchedule(patience=2).falls(errors))
for name, logged in LOGGED.items():
    late = (
        f"; conv1 ten times slower at {logged.conv1_slower:g}, frozen at {logged.conv1_frozen:g}"
        if logged.conv1_frozen
        else ""
    )
    print(
        f"run {name:8} ε = {logged.rate:g}, divided by ten at {logged.drops}, stopped at {logged.stop:g}{late}"
    )
assert all(len(logged.drops) == paper.LEARNING_RATE_DROPS for logged in LOGGED.values())
assert all(abs(logged.stop - paper.EPOCHS) <= 7 for logged in LOGGED.values())

# %%
falling = recorded["schedule"]
figure, axes = plt.subplots(1, 2, figsize=(13, 4))
plots.learning_curves(axes[0], falling.curves, "validation_error", "Validation error (recorded)")
plots.last_errors(axes[1], falling.runs, "test_error", "Test error at the end (recorded)")
plt.tight_layout()
plt.show()
print(recorded["schedule"].origin())
for name in ("plateau", "logged"):
    title, difference = falling.of(variant=name).runs["title"].iloc[0], falling.paired_gap(name, "constant")
    print(f"{title} minus never, test error in points: {difference.signed}")

# %% [markdown]
# **What came out.** Two surprises. The rule of thumb never fired before the end: with dropout, crops and reflections the validation
# error was still falling, and three measurements in a row without a new best did not occur (once, after the last epoch). So its runs *are* those of the
# constant rate, number for number. And the logged schedule, pressed from 93 epochs into 24, was too early with its first fall. It
# brings a quick gain and then stands still, and in the end it is seven points behind. A schedule belongs to the length of a
# training. What the authors did by hand at epoch 23 was an answer to a curve that had become flat; this one had not.

# %%
errors = falling.curves.pivot(index="epoch", columns=["variant", "seed"], values="validation_error")
for seed in (1, 2, 3):
    assert PlateauSchedule(patience=3).falls(list(errors["plateau"][seed])) in ([], [24])
    assert (errors["constant"][seed] == errors["plateau"][seed]).all()
behind = falling.paired_gap("logged", "constant")
assert behind.low > 3
assert 6 < behind.value < 9
first = math.ceil(LOGGED["145-2010"].compressed(24).drops[0])  # measurements before the first fall: 5
assert (errors["logged"].iloc[first] < errors["constant"].iloc[first]).all()

# %% [markdown]
# ## 5 · Look
#
# **Schedules.** Move the sliders. The logged runs can be pressed into as many epochs as you have; the rule of §5 has a
# patience and a margin. Under 145-2010, the rule and the constant rate stands what a small network made of them, where it
# was recorded. Which share of its time does run 145 spend at each of its four rates? With a patience of 1, does the rule
# still wait for a plateau, or does noise drive it?

# %% tags=["nbval-ignore-output"]
lesson.schedule_explorer(recorded["schedule"])

# %% [markdown]
# **Why is it called stochastic?** The gradient $g$ of a batch is a mean over $B$ images drawn at random. Its expectation is
# the gradient of the whole set, and its noise falls as $1/\sqrt B$. Measured on the small network at its start: the
# distance of a batch's gradient from that of all images, over the length of the latter.

# %% tags=["nbval-ignore-output"]
order = torch.randperm(
    len(images.train), generator=torch.Generator().manual_seed(0)
)  # packs may be sorted by class
pool = images.train.subset(order[:1000])
x = (pool.pixels.float() - pool.pixels.float().mean(0)) / 64
network = build(studies.small_alexnet(), 32, 10, INITIAL)


def gradient(index):
    loss = F.cross_entropy(network(x[index]), pool.labels[index])
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])


generator, whole = torch.Generator().manual_seed(0), gradient(torch.arange(1000))
sizes, noise = (8, 32, 128, 512), []
for size in sizes:
    draws = [gradient(torch.randint(1000, (size,), generator=generator)) for _ in range(8)]
    noise.append((sum((g - whole).square().sum() for g in draws) / 8).sqrt().item() / whole.norm().item())
figure, ax = plt.subplots(figsize=(7, 3.8))
lesson.draw_noise(ax, sizes, noise, len(pool), paper.BATCH_SIZE)
ax.set_title(f"Noise of the gradient, small AlexNet at its start{note}", fontsize=11)
plt.tight_layout()
plt.show()
assert 0.7 < (noise[0] / noise[-1]) / (sizes[-1] / sizes[0]) ** 0.5 < 1.4

# %% [markdown]
# **How to read it.** Where a mark reaches the horizontal line the noise is as long as the gradient itself: a single step
# then goes mostly anywhere, and only the mean over many steps goes down. Sixteen times as many images cost sixteen times as
# much and leave a quarter of the noise. That is why batches stay small, and why momentum, which averages over about ten
# batches, is cheap help.
#
# ## 6 · The clinic
#
# Three ways to scale the inputs, three to draw the weights, two to start the biases, and two rules: 36 ways to start the
# network of the paper. Each gets ten images of CIFAR-10, one of each class, enlarged to 224 × 224, and is to learn them by
# heart. Who cannot do that will not learn a million. Dropout is off: its masks differ from image to image, and a network
# that is blind to the images learns the *masks* by heart, so that its loss falls for nothing.
#
# **What arrives in each layer**, before the first step, at the paper's full size, biases 1:

# %%
figure, axes = plt.subplots(1, 3, figsize=(14, 4), sharey=True)
names = list(reads)
for ax, (inputs, words) in zip(axes, clinic.INPUTS.items(), strict=True):
    lines = {
        clinic.INITS[init]: [layer.signal for layer in cells.full[Setting(inputs, init)].layers]
        for init in clinic.INITS
    }
    lesson.draw_lines(ax, range(8), lines, ("", ""), f"inputs: {words}", markers=True, log=True)
    ax.set_xticks(range(8), names)
axes[0].set_ylabel("root mean square of what differs\nbetween the ten images, in Wx + b")
figure.suptitle("The paper's network before its first step (recorded, ten images of CIFAR-10)")
plt.tight_layout()
plt.show()
made = cells.provenance
print(
    f"recorded {', '.join(made['dates'])} on {', '.join(made['hardware'])} in {', '.join(made['precision'])}; {made['data']['source']}"
)

# %% [markdown]
# **How to read it.** Each line is one network; what counts is where it ends, at fc8. That is by how much the ten images differ
# in the logits, and the loss can only fall by what differs. The lines of $N(0, 0.01^2)$ fall from layer to layer, as the table
# of gains said. With pixels from 0 to 255 some thousandths are left. With pixels from 0 to 1 it is a
# few hundred-thousandths: the logits of a cat and of a ship agree to four digits. From conv1 to fc8 these networks lose a factor
# of more than a thousand, He's less than a hundred. But with pixels from 0 to 255 He's logits are large before anything is
# learned. The theory of section 2, put to the test:

# %%
for inputs in clinic.INPUTS:
    signals = {i: [layer.signal for layer in cells.full[Setting(inputs, i)].layers] for i in ("paper", "he")}
    assert signals["paper"][0] > 1000 * signals["paper"][-1]
    assert signals["he"][0] < 100 * signals["he"][-1]
rms = {"raw": 1.0, "unit": 1 / 255}
for inputs in ("raw", "unit"):
    first = cells.full[Setting(inputs)].layers[0].output
    pixel = first / (363**0.5 * 0.01)
    rms[inputs] = pixel
    print(
        f"inputs {clinic.INPUTS[inputs]}: conv1 gives {first:.3g}, so by √363 · 0.01 the pixels have {pixel:.3g}"
    )
    last_signal = {b: cells.full[Setting(inputs, biases=b)].layers[-1].signal for b in clinic.BIASES}
    ratio = last_signal["ones"] / last_signal["zeros"]
    print(
        f"    differences in the logits: biases 1 {last_signal['ones']:.2g}, biases 0 {last_signal['zeros']:.2g}: {ratio:.1f} times"
    )
    assert 3 < ratio < 10  # five layers without the factor √(1/2): √2⁵ = 5.7
assert 240 < rms["raw"] / rms["unit"] < 270
assert 40 < rms["raw"] < 100
assert all(
    30 < cells.full[Setting("raw", biases=b)].layers[-1].signal
    / cells.full[Setting("unit", biases=b)].layers[-1].signal < 1000
    for b in clinic.BIASES
)  # fmt: skip

# %% [markdown]
# Five layers have biases of 1. Without the halving in ReLU they should give $\sqrt 2^{\,5} = 5.7$ times as much, and so they do,
# roughly. The same factor helps the gradient on its way back. That is the whole secret of the ones.
#
# **Which of them learn?** At full size each cell was given three steps. So that all 36 could have sixty, the table takes
# a network of the same depth that is eight times narrower, with weights that are larger by the root of what the fan-in lost.
# Its gains are the same, so its numbers have nearly the same scale in every layer:

# %%
worst = 1.0
for setting in clinic.SETTINGS:
    wide, thin_cell = (each[setting].layers for each in (cells.full, cells.narrow))
    ratios = [a.signal / b.signal for a, b in zip(wide, thin_cell, strict=True)]
    worst = max(worst, *ratios, *(1 / ratio for ratio in ratios))
print(f"the largest factor between the two sizes, over 36 settings and eight layers: {worst:.2f}")
assert worst < 2.5


# %%
def row_words(inputs, init):
    return f"{clinic.INPUTS[inputs]}\n{clinic.INITS[init]}"


rows = [(inputs, init) for inputs in clinic.INPUTS for init in clinic.INITS]
columns = [(biases, rule) for rule in clinic.RULES for biases in clinic.BIASES]
table = [[cells.narrow[Setting(*row, *column)] for column in columns] for row in rows]
peaks = [[cells.full[Setting(*row, *column)].losses for column in columns] for row in rows]
words = [
    [f"loss {c.losses[-1]:.2f}\n(full size, 3 steps: ≤ {max(p):.2g})" for c, p in zip(*pair, strict=True)]
    for pair in zip(table, peaks, strict=True)
]
figure, ax = plt.subplots(figsize=(12, 9))
heads = [f"{clinic.RULES[rule]}\nbiases {clinic.BIASES[biases]}" for biases, rule in columns]
lesson.draw_fates(
    ax, [row_words(*row) for row in rows], heads, [[c.fate for c in line] for line in table], words
)
ax.set_title("Ten images by heart, 60 steps, narrow network (recorded); chance is 2.30", y=1.09)
plt.tight_layout()
plt.show()

# %% [markdown]
# **One line for each of the 36**, and what the network of full size did in its three steps (the largest loss on the way):

# %%
for (inputs, init), line in zip(rows, table, strict=True):
    print(f"{clinic.INPUTS[inputs]}, {clinic.INITS[init]}")
    for (biases, rule), cell in zip(columns, line, strict=True):
        peak = max(cells.full[Setting(inputs, init, biases, rule)].losses)
        print(
            f"    biases {clinic.BIASES[biases][0]}, {rule:4} {cell.fate:12} {cell.reason} [full size: up to {peak:.3g}]"
        )

# %% [markdown]
# **How to read it.** Three illnesses, and one cure for each.
#
# - **The flat loss.** $N(0, 0.01^2)$ with pixels from 0 to 1, or standardized ones, under SGD. The images do not differ in the
#   logits. The biases of the last layer adjust, the loss goes to chance and stays there. This is what people see who rebuild
#   AlexNet from the paper with today's data loader. Cure: the inputs of the paper, *or* the weights of today.
# - **The slow start.** The paper's own setting. It stands still for some thirty steps, then it learns. On a
#   million images that is what a flat loss of the first thousand steps means. Biases of 0 make it slower still. The 0.03 of
#   run 145 in three layers makes it quick.
# - **The explosion.** He's weights with pixels from 0 to 255. At full size the loss goes beyond any measure in three steps of
#   SGD. Cure: divide the pixels. He's rule assumes inputs near 1. And biases of 1 belong to small weights: with He's they
#   make the logits loud, and at full size the loss rises even with pixels from 0 to 1. With biases of 0 it does not.
#
# **Adam** learns everywhere in the narrow network, for its steps do not shrink with the gradient. But look at the brackets:
# at full size its first step of 0.001 in each of 58 million weights sends the loss from 2.3 to 50 where the weights
# themselves are 0.01.

# %%
fates = {tuple(vars(s).values()): cell.fate for s, cell in cells.narrow.items()}
assert all(
    fates[inputs, "paper", biases, "sgd"] == "stands still"
    for inputs in ("unit", "standardized")
    for biases in clinic.BIASES
)
assert fates["raw", "paper", "ones", "sgd"] == fates["raw", "run145", "ones", "sgd"] == "learns"
paper_start, run145_start = (cells.narrow[Setting(init=i)].losses for i in ("paper", "run145"))
first_below = [next(i for i, loss in enumerate(losses) if loss < 2) for losses in (paper_start, run145_start)]
assert first_below[0] > 25 > 12 > first_below[1]
zeros_start = cells.narrow[Setting(biases="zeros")].losses
assert all(loss > 2 for loss in zeros_start[: first_below[0] + 10])
for biases in clinic.BIASES:
    losses = cells.full[Setting("raw", "he", biases)].losses
    assert max(losses) > 1e4
he_losses = {b: cells.full[Setting("unit", "he", b)].losses for b in clinic.BIASES}
assert max(he_losses["ones"]) > 10
assert max(he_losses["zeros"]) < 2.4
full_adam = cells.full[Setting(rule="adam")].losses
assert all(f == "learns" for (*_, rule), f in fates.items() if rule == "adam")
assert full_adam[0] < 2.5
assert full_adam[1] > 20

# %% [markdown]
# **One failing cell, and the single change that heals it**, live: standardized pixels, biases at 0 and the paper's
# $N(0, 0.01^2)$, then the same with He's weights. At `laptop` this is the network of the paper at its full size, 58 million
# weights, well under a minute for each on two free cores.

# %% tags=["nbval-ignore-output"]
divisor, steps = (16, 24) if scale == "quick" else (1, 12)
batch = clinic.batch_of(images.train)
patients = {
    "N(0, 0.01²), standardized pixels": Setting("standardized", "paper", "zeros"),
    "the one change: He's weights": Setting("standardized", "he", "zeros"),
}
healed = {name: clinic.trial(s, batch, steps=steps, divisor=divisor) for name, s in patients.items()}
figure, ax = plt.subplots(figsize=(8.5, 3.8))
lines = {name: trial.losses for name, trial in healed.items()} | {
    "chance, ln 10": [math.log(10)] * (steps + 1)
}
size = "full size" if divisor == 1 else f"{divisor} times narrower"
lesson.draw_lines(
    ax, range(steps + 1), lines, ("step", "loss (nats)"), f"Ten images by heart, {size}, just run{note}"
)
plt.tight_layout()
plt.show()
for name, trial in healed.items():
    print(f"{name}: the images differ by {trial.layers[-1].signal:.1g} in the logits; it {trial.fate}")
sick, well = healed.values()
assert sick.fate == "stands still"
assert well.fate == "learns"
assert well.layers[-1].signal > 100 * sick.layers[-1].signal

# %% [markdown]
# **Your own patient.** Choose a setting. On the left all of a layer's numbers and what of them differs between images; on the
# right the losses. Find a setting where the two lines on the left part and the loss stands still. Which single change heals it?
# Find one with loud logits.

# %% tags=["nbval-ignore-output"]
lesson.clinic_explorer(cells)

# %% [markdown]
# **What to look at in your own network**, in this order:
#
# 1. The loss before the first step. It should be $\ln(\text{classes})$. Far above: the logits are loud; divide the inputs or the
#    weights.
# 2. The spread of the logits between images, before the first step. Below a thousandth: the signal dies on the way. Print it
#    layer by layer, and make $\sqrt{n/2}\,\sigma$ one.
# 3. Ten images by heart. If that fails there is a bug, or one of the two above.
#
# ## 7 · What the 2012 code did
#
# Source: the released configurations and `weights.cu`, `layer.cu`.
#
# - **0.03 in conv3, conv4 and conv5**, where the paper says 0.01 for every layer. The clinic ran both: see above, and below.
# - **Biases have a rate of their own**, `epsB`, 0.02 where `epsW` starts at 0.01, and no decay. The notes speak of lowering
#   `epsW` alone: in the last file of run 145 `epsB` is still 0.02, and `epsW` is 0.00001, 2,000 times less.
# - **$\epsilon$ is inside the increment**, as the paper prints it: a lowered rate leaves the velocity as it is (section 2).
# - **A layer whose rate is 0 is skipped**: no gradient, no decay, no velocity. That is how conv1 was frozen at epoch 72,
#   after its rate had fallen to a tenth near 67, where the colour noise was switched off. The paper mentions none of it.

# %%
for init in ("paper", "run145"):
    losses = cells.narrow[Setting(init=init)].losses
    first = next(i for i, loss in enumerate(losses) if loss < 2)
    signal = cells.full[Setting(init=init)].layers[-1].signal
    print(
        f"{clinic.INITS[init]:34} differences in the logits {signal:.2g}; loss below 2 after {first} steps (recorded)"
    )
w = torch.ones(1, requires_grad=True)
optimizer = sgd.PaperSGD([w], lr=0.01)
for rate, g in ((0.01, 1.0), (0.0, 1.0), (0.01, 0.0)):
    optimizer.param_groups[0]["lr"], w.grad = rate, torch.full((1,), g)
    optimizer.step()
    print(
        f"ε = {rate:g}, g = {g:g}: w = {w.item():.6f}, v = {optimizer.state[w]['momentum_buffer'].item():+.6f}"
    )

# %% [markdown]
# **How to read it.** In the second step the rate is 0 and nothing moves, not even what momentum would carry on. In the third the
# old velocity goes on where it stood. For the frozen conv1 the rate never came back.
#
# The bias rate that never falls can be run. Two small networks, §5's rule with one drop; in one the biases' rate
# falls with that of the weights, in the other it stays, 20 times as large as that of the weights in the end. Sixty steps
# show how it is done, and no more: what it is worth would take long runs and seeds.

# %% tags=["nbval-ignore-output"]
ends = {}
for name, falls in (("falls with ε", True), ("never falls (2012)", False)):
    network = build(studies.small_alexnet(), 32, 10, INITIAL)
    optimizer = sgd.PaperSGD(sgd.parameter_groups(network, 0.005), lr=0.005)
    for step in range(60):
        for group in optimizer.param_groups:
            drop = 0.1 if step >= 30 and (falls or group["rate_scale"] == 1) else 1.0
            group["lr"] = 0.005 * group["rate_scale"] * drop
        index = torch.arange(50) + 50 * (step % 20)
        loss = F.cross_entropy(network(x[index]), pool.labels[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        ends[name] = F.cross_entropy(network(x), pool.labels).item()
print(
    {name: round(loss, 3) for name, loss in ends.items()},
    "loss on 1,000 training images" + " (synthetic)" * images.synthetic,
)
assert all(0 < loss < 3 for loss in ends.values())

# %% [markdown]
# ## 8 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("10.1")` gives a hint. Solutions are in
# `notebooks/solutions/`.
#
# **10.1** (5 minutes, easy). The momentum is 0.95. $\epsilon$ falls to a tenth. How many times its own size does an old velocity
# still carry the weights, in the paper's form, without any gradient?

# %%
answer_1 = None
check("10.1", answer_1)

# %% [markdown]
# **10.2** (5 minutes, easy). Write §5's new velocity as a function of $v$, $w$, $g$ and $\epsilon$.

# %%
answer_2 = None  # lambda v, w, g, rate: ...
check("10.2", answer_2)

# %% [markdown]
# **10.3** (10 minutes, medium). With which $\sigma$ has conv2 a gain of 1, where half of the ReLUs are off? Its kernels are 5×5
# and read the 48 maps of their own column.

# %%
answer_3 = None
check("10.3", answer_3)

# %% [markdown]
# **10.4** (5 minutes, medium). A batch of 128 is too noisy for you. How many images must a batch have for a quarter of its
# noise?

# %%
answer_4 = None
check("10.4", answer_4)

# %% [markdown]
# **10.5** (15 minutes, harder). A weight gets no gradient any more. $\epsilon = 0.01$, momentum 0.9, weight decay 0.0005. After
# how many steps has it shrunk to a half?

# %%
answer_5 = None
check("10.5", answer_5)

# %% [markdown]
# ## 9 · Verdict

# %%
verdict(
    ["sgd-rule", "wd-trains", "init", "lr-schedule"],
    why={
        "sgd-rule": "PyTorch multiplies the stored gradients by the new rate at once. rescale_momentum makes the two equal.",
        "wd-trains": "The small version points the same way with every seed, by about one point. Its ten epochs are "
        "4,000 steps, against about 900,000 of the paper.",
        "init": "Biases of 1 keep all ReLUs on, which multiplies signal and gradient by about √2 in each of their "
        "layers. They bring the start forward.",
        "lr-schedule": "In 24 epochs of the small version the validation error never stalled, so the rule changed nothing; the "
        "logged epochs, compressed, came too early. A schedule belongs to the length of a training.",
    },
)

# %%
flat = cells.narrow[Setting("unit")].losses[-1]
logits = [cells.full[Setting(inputs)].layers[-1].signal for inputs in ("raw", "unit")]
if my_loss is not None:
    print(f"loss after 60 steps: you predicted {my_loss:g}, measured {flat:.3f} (recorded, narrow network)")
if my_factor is not None:
    print(
        f"differences in the logits: you predicted {my_factor:g} times less, measured {logits[0] / logits[1]:.0f} (recorded)"
    )
assert abs(flat - math.log(10)) < 0.01

# %% [markdown]
# **To repeat the records**: `alexnet-edu experiment start`, `decay`, `schedule` and `clinic`. Each can be killed at any moment
# and goes on when called again.
#
# **Next**: notebook 11, ten patches, several networks averaged, and pre-training.
