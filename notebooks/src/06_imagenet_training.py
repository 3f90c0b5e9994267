# %% [markdown]
# # 06 · The full training: 90 epochs, and how to survive them
#
# **The claims** (§5, §6). The network is trained by SGD with batches of 128. All layers have the same learning rate: it begins at 0.01
# and is divided by 10 when the validation error stops improving, three times in all. About 90 epochs over 1.2 million images take five
# to six days on two GTX 580 with 3 GB. The result: 37.5% / 17.0% (top-1 / top-5) on the test images of ILSVRC-2010, and for one network
# 40.7% / 18.2% on the validation images of ILSVRC-2012.
#
# **What to know first.** Notebook 00: how multiply-adds are counted. Notebook 05: what a column is. Notebook 10: the update rule.
#
# **What you will have at the end.** What those days were made of, by arithmetic, and what they would be on other machines. A training that
# runs in processes of its own: you rehearse it, start it, watch it, stop it in the middle, take it up again and judge it. Here it
# runs on a few images. **With a machine for it and ImageNet, the same cells and the same button train the real network.**
#
# | scale | what runs in this notebook | time |
# |---|---|---|
# | `quick` | two columns, 16 times narrower, on 60 generated images (this is what tests use) | about a minute |
# | `laptop` | two columns, 8 times narrower, on 2,000 images of CIFAR-10, enlarged | about 5 minutes on two cores |
# | `gpu`, `paper` | the same, on one GPU or a column on each of two | less |
# | with ImageNet | the paper's network and recipe, started by a button in section 5 | see there |
#
# The small images are *not* ImageNet, and the small network is not the paper's. What they show is how the training goes, not its errors.

# %%
import math
import os
import tempfile
import time
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F

from alexnet_edu import paper
from alexnet_edu.data.augment import draw_crops
from alexnet_edu.data.cifar10 import load_cifar10, runs_dir
from alexnet_edu.data.folders import write_class_folders
from alexnet_edu.environment import autocast, current_scale, keep_freed_memory
from alexnet_edu.exercises.check import check, hint
from alexnet_edu.imagenet import runs as run_control
from alexnet_edu.imagenet.evaluate import judge, load_network
from alexnet_edu.imagenet.feed import Feed
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.imagenet.prepared import open_prepared
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.imagenet.rehearsal import duration
from alexnet_edu.ledger.table import verdict
from alexnet_edu.lessons import imagenet as training_cost
from alexnet_edu.lessons.imagenet import cost_explorer, dashboard, report
from alexnet_edu.model.alexnet import AlexNet
from alexnet_edu.model.architecture import variant
from alexnet_edu.training.schedules import LOGGED, PlateauSchedule

# The folder that `alexnet-edu data imagenet` prepared, if you have one: type its path between the quotes.
IMAGENET = os.environ.get("ALEXNET_EDU_IMAGENET", "")

scale = current_scale()
table = variant("paper")

# %% [markdown]
# ## 1 · Predict
#
# A GTX 580 can do 1.58·10¹² additions or multiplications in a second (512 cores at 1.544 GHz, two at a time). **Which share of that did the
# two of them reach in their five to six days?** And: an H100 of 2022 is made for 989·10¹² in a second, in bfloat16. If it reached the same
# share, **how long would it take for the 90 epochs?**

# %%
my_share = None  # between 0 and 1
my_hours = None  # of one H100

# %% [markdown]
# ## 2 · Derive
#
# **What an image costs.** A neuron of a convolution multiplies and adds once for each of its weights. Backwards, a layer computes twice: the
# gradient of its weights, and the gradient of its inputs for the layer below. There is nothing below conv1.

# %%
forwards = backwards = 0
for layer in paper.LAYERS:
    neurons = layer.side**2 * layer.outputs
    multiply_adds = neurons * layer.kernel**2 * layer.inputs
    forwards += 2 * multiply_adds
    backwards += 2 * multiply_adds * (1 if layer.name == "conv1" else 2)
operations = forwards + backwards
print(
    f"forwards {forwards / 1e9:.2f}, backwards {backwards / 1e9:.2f}, together {operations / 1e9:.2f} billion"
)

# %% [markdown]
# **What an epoch costs, and the days.** The files of 2012 hold 1,281,167 training images.

# %%
epoch = operations * 1_281_167
whole = 90 * epoch
print(f"one epoch {epoch:.2e}, 90 epochs {whole:.2e} operations")
two_gpus = 2 * 512 * 1.544e9 * 2  # operations in a second at the very most
for days in (5, 6):
    share = whole / (two_gpus * days * 24 * 3600)
    print(
        f"{days} days on two GTX 580: {share:.0%} of the peak, {90 * 1_281_167 / (days * 86400):.0f} images/s"
    )

# %% [markdown]
# **Assumptions**: only convolutions and matrices count; a multiply-add is two operations; evaluations, copies between the GPUs and all that
# moves memory are in the time and not in the operations.
#
# **Which images, when?** In an epoch each image is used once, in an order drawn anew. If that order depends on the seed and the epoch alone, then step
# $s$ has the same images whoever asks: a run that was killed takes up at $s$ and skips nothing, repeats nothing.


# %%
def images_of_step(s, seed, count, batch):
    epoch, place = divmod(s, math.ceil(count / batch))
    drawn = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(count, generator=drawn)
    return order[place * batch : (place + 1) * batch]


# %% [markdown]
# **When does the rate fall?** "When the validation error stops improving" has to become a number. Here it is a patience: so many evaluations
# without a new best.


# %%
def rate_after(errors, rate=0.01, patience=2):
    best, waited, falls = math.inf, 0, 0
    for error in errors:
        best, waited = (error, 0) if error < best else (best, waited + 1)
        if waited == patience and falls < 3:
            falls, waited = falls + 1, 0
    return rate / 10**falls


# %% [markdown]
# ## 3 · Bridge
#
# The package does the same: `training_cost` counts, `Feed` gives the images, `Recipe` and `PlateauSchedule` give the rate. From here on
# the package is used.

# %%
assert training_cost.operations_per_image(table) == operations
assert training_cost.operations(table) == whole
assert training_cost.TRAINING_IMAGES == 1_281_167
for days in paper.TRAINING_DAYS:
    reached = training_cost.share_reached(
        whole, training_cost.DEVICES["GTX 580"].float32, days * 86400, paper.GPUS
    )
    assert abs(reached - whole / (two_gpus * days * 86400)) < 1e-3

random = torch.Generator().manual_seed(0)
for length in range(12):
    errors = (torch.rand(length, generator=random) * 10).round().tolist()  # many are equal
    for patience in (1, 2, 3):
        assert Recipe(patience=patience).rates(0, errors).weights == rate_after(errors, patience=patience)
print("equal: the operations, the share of the peak, and the rate after any errors")

# %% [markdown]
# ## 4 · Run
#
# **The images.** ImageNet comes as folders of JPEG files, one for each class. `alexnet-edu data imagenet` prepares it once, as §2 says: the
# shorter side scaled to 256, the middle cut out, the mean image and the colours counted. Here the same happens to small pictures that
# were enlarged and written like ImageNet.

# %% tags=["nbval-ignore-output"]
if scale == "quick":
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    place, each = Path(scratch.name), {"train": 6, "val": 2}
else:
    place, each = runs_dir() / "06", {"train": 200, "val": 50}
images = load_cifar10()
note = "stand-in enlarged, not ImageNet" if images.synthetic else "CIFAR-10 enlarged, not ImageNet"
tree = write_class_folders(images, place / "files", **each)
prepare(
    tree, place / "prepared", workers=1 if scale == "quick" else None, say=lambda line: None, progress=False
)
prepared = open_prepared(place / "prepared")
for name, split in prepared.splits.items():
    print(
        f"{name}: {len(split):,} images of {prepared.side} × {prepared.side} in {len(prepared.wnids)} classes"
    )

# %% tags=["nbval-ignore-output"]
figure, axes = plt.subplots(1, 6, figsize=(12, 2.4))
train = prepared.split("train")
shown = [int((train.labels == label).nonzero()[0]) for label in range(5)]
for ax, label, index in zip(axes, range(5), shown, strict=False):
    ax.imshow(train.decode(index).permute(1, 2, 0))
    ax.set_title(images.train.classes[label], fontsize=10)
axes[5].imshow(prepared.mean_image.permute(1, 2, 0) / 255)
axes[5].set_title("mean image", fontsize=10)
for ax in axes:
    ax.axis("off")
figure.suptitle(f"What the network is trained on here: {note}", y=1.02)
plt.show()

# %% [markdown]
# The rule of section 2 on these images: every process would get the same order. Here for two processes that share each batch:

# %%
feeds = [Feed(train, batch_size=16, seed=3, rank=rank, world=2) for rank in (0, 1)]
for s in range(2 * feeds[0].steps_per_epoch):
    rows = torch.cat([feed.rows(s)[0] for feed in feeds])
    assert torch.equal(rows, images_of_step(s, 3, len(train), 16))
first_epoch = torch.cat([images_of_step(s, 3, len(train), 16) for s in range(feeds[0].steps_per_epoch)])
assert sorted(first_epoch.tolist()) == list(range(len(train)))
print("each image once in an epoch, whatever the number of processes")

# %% [markdown]
# **The rehearsal.** Before a run of days, a few steps: how fast, how long, how much memory, how much disk, and does it fit at all? It takes the
# very processes, network and images of the run. In a terminal it is `alexnet-edu train … --rehearse-only`.

# %% tags=["nbval-ignore-output"]
# Two processes with a column each, as in 2012; with one GPU the whole network on it.
how = {"parallel": "single" if torch.cuda.device_count() == 1 else "columns"}
small = {"narrow": 8, "batch_size": 32, "epochs": 10, "log_every": 10, "rehearsal_steps": 0}
if scale == "quick":
    small |= {"narrow": 16, "batch_size": 16, "epochs": 20, "log_every": 1, "workers": 1}
run = place / "first"
if run_control.status(run).state == "none":
    print(run_control.rehearse(place / "prepared", run, steps=4, **how, **small))

# %% [markdown]
# **The start.** A process of its own is started, and it starts one for each column. This notebook only reads what they write into the folder of the run. Close
# the browser, shut down the kernel: the training goes on. Open the notebook again and run its cells: it finds the training.

# %% tags=["nbval-ignore-output"]
if run_control.status(run).state == "none":
    run_control.start(place / "prepared", run, **how, **small)
dashboard(run, note=note)

# %% [markdown]
# The picture above follows the training by itself while you go on reading. (Where this notebook is only read, it shows the moment of the start.)
# *Stop* lets the step end that is being computed, saves, and ends the processes. *Resume* goes on from there. The next cell does the
# same by itself: it waits for some steps and stops.

# %% tags=["nbval-ignore-output"]
enough = 3 if scale == "quick" else 80
now = run_control.wait(run, lambda now: now.step >= enough, seconds=600)
if now.running:
    now = run_control.stop(run)
    assert now.state == "stopped"
print(now.text())

# %% [markdown]
# Nothing of it lives any more, but its folder: checkpoints, each written whole or not at all, and the log. **Taking it up** reads the
# newest checkpoint that is whole: weights, velocities, the step, and the validation errors so far. Everything random at step $s$ follows from the
# seed and $s$. So on a processor the run ends with the same bits as one that was never stopped (a test holds it to that).

# %% tags=["nbval-ignore-output"]
stopped_at = now.step
if now.state in ("stopped", "died"):
    print(run_control.resume(run).text())
now = run_control.wait(run, seconds=3600)
print(now.text())
assert now.state == "finished", now.why
trained = [row["step"] for row in now.rows if row["kind"] == "step"]
assert trained == sorted(set(trained))
assert now.step == now.steps
assert any(row["kind"] == "start" and row["step"] == stopped_at for row in now.rows) or stopped_at == now.step

# %% [markdown]
# ## 5 · Look
#
# A new dashboard, made from the folder alone. That is how to find a training again, also one that was started in a terminal.

# %% tags=["nbval-ignore-output"]
dashboard(run, note=note)

# %% [markdown]
# **How to read it.** Light blue is the error on the batches just before they were learned from, *with* dropout, random crops and colours; dark blue is the whole
# network on the middle patch of the validation images. So the training curve may lie above. The rate falls by the rule of section 2. Just after
# a fall the loss may jump up for some batches: the velocity runs on at its old size, and the gradients that would steer it count a tenth (notebook 10). The
# dotted line in the first picture is a network that gives every class the same probability; the one in the last is where the training was stopped and
# taken up. Sixty generated images (`quick`) are too few to learn anything from.
#
# **The verdict of ten patches.** The best checkpoint, judged by the middle patch and by ten (§4.1):

# %% tags=["nbval-ignore-output"]
best = run / "best.safetensors"
for patches in (1, 10):
    found = judge([load_network(best, prepared.wnids)], prepared, patches=patches)
    assert 0 <= found.top5 <= found.top1 <= 1
    print(found.text(), f"({note})")

# %% [markdown]
# **Where does the time go?** By arithmetic, at a share of the peak that you choose. The peaks are those of the vendors' data sheets; nothing here is
# measured. Start at 35%, where two GTX 580 land on the paper's five days. Then move the second slider: what if the images do not come as fast?

# %% tags=["nbval-ignore-output"]
cost_explorer()

# %% [markdown]
# **How to read it.** On the GPUs of 2012 reading was never late: they wanted some 250 images a second. Today it is the other way round. What an H100
# would want at 35% of its peak, and what one core of this machine decodes:

# %% tags=["nbval-ignore-output"]
began = time.perf_counter()
for index in range(60):
    train.decode(index)
decoded = 60 / (time.perf_counter() - began)
wanted = 0.35 * training_cost.DEVICES["H100 SXM"].peak("bfloat16") / operations
print(f"wanted {wanted:,.0f} images/s; one core decodes {decoded:,.0f}: {wanted / decoded:,.0f} such cores")
assert wanted > 10 * decoded

# %% [markdown]
# So the images are prepared once, decoded by many threads *while* the GPU works, and the rehearsal says which of the two waits. And 35% is a lot: this
# network is small, its layers are short, and normalization and pooling move memory rather than compute. Measure before you believe a bar.
#
# **And this machine?** One step of the whole network, forwards and backwards, now. (While it is busy with other things, it shows less than it can.)

# %% tags=["nbval-ignore-output"]
keep_freed_memory()  # as the training does
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
batch = 128 if device.type == "cuda" else 8 if scale == "quick" else 32
network = AlexNet(table, generator=torch.Generator().manual_seed(0)).to(
    device, memory_format=torch.channels_last
)
x, y = 60 * torch.randn(batch, 3, 224, 224, device=device), torch.arange(batch, device=device)
x = x.contiguous(memory_format=torch.channels_last)
took, threads = [], torch.get_num_threads()
for count in (1, threads):  # where a machine is busy, two threads wait for each other
    torch.set_num_threads(count)
    for _ in range(2):
        began = time.perf_counter()
        with autocast(device, "auto"):
            logits = network(x)
        loss = F.cross_entropy(logits.float(), y)
        loss.backward()
        loss.item()  # waits for the GPU
        took.append(time.perf_counter() - began)
rate = batch / min(took)
print(f"{rate:,.1f} images/s: 90 epochs in {duration(90 * 1_281_167 / rate)}, if nothing else takes time")
print(f"that is {rate * operations / 1e9:,.0f} billion operations in a second")

# %% [markdown]
# ### Your own training
#
# Nothing runs here before you press *Start*. Without ImageNet it trains the small network for longer; change a setting first, such as the rate, and see what
# becomes of it. **With ImageNet** (its path stands in `IMAGENET` at the top) the button starts the paper's network by the paper's
# recipe: 90 epochs, a rehearsal first, a checkpoint every thousand steps and after each epoch. Look at what this machine needs for it before.

# %% tags=["nbval-ignore-output"]
my_settings = {**small, "epochs": 200, "rate": 0.01, "schedule": "plateau", "patience": 5}
mine = runs_dir() / "imagenet" if IMAGENET else place / "mine"


def begin():
    if IMAGENET:
        return run_control.start(Path(IMAGENET), mine, **how)
    return run_control.start(place / "prepared", mine, **how, **my_settings)


dashboard(mine, begin, note="" if IMAGENET else note)

# %% [markdown]
# The same in a terminal, on a machine with two GPUs:
#
# ```
# alexnet-edu data imagenet --from ILSVRC2012 --to imagenet
# torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel columns --data imagenet --folder runs/first
# torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel columns --data imagenet --folder runs/first --resume auto
# alexnet-edu evaluate runs/first/best.safetensors --data imagenet
# ```
#
# ## 6 · What the 2012 code did
#
# The paper gives one rule: one rate for all layers, divided by ten three times. The notes at the end of the authors' parameter files say what was
# done by hand, and it is more:
#
# - Run 145-2010, the network of Table 1: the rate fell at epochs 23, 51 and 78 of 93. Run 145, the "1 CNN" of Table 2: at 25, 51 and 79 of 91.
# - **conv1 went its own way**: a tenth of the others' rate from about epoch 67, frozen from 72.
# - **The colour noise** of §4.1 was switched off near epoch 67, before the last fall. While it was on, training images were divided by 1.1, test images not.
# - **Biases never slowed down**: their rate is 0.02 in the last file of run 145, where that of the weights is 0.00001.
#
# Both schedules from the package, `schedule="run145"` beside `"plateau"`. For the second one needs validation errors; these are made up and improve
# until epochs 25, 51 and 79.

# %%
epochs = [e / 4 for e in range(4 * int(LOGGED["145"].stop))]
logged, rule = Recipe(schedule="run145", epochs=LOGGED["145"].stop), Recipe(schedule="plateau")
by_hand = [logged.rates(e, []) for e in epochs]
errors = []
for k in range(1, 92):  # no new best in the last two epochs before each fall
    stalled = any(drop - 2 < k <= drop for drop in LOGGED["145"].drops)
    errors.append(errors[-1] if stalled else 0.9 - 0.005 * k)
by_rule = [rule.rates(e, errors[: int(e)]) for e in epochs]
assert PlateauSchedule(2).falls(errors) == list(LOGGED["145"].drops)

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 4), sharey=True)
for ax, rates, title in zip(axes, (by_rule, by_hand), ("the rule of §5", "run 145, as noted"), strict=True):
    series = {name: [getattr(r, name) for r in rates] for name in ("weights", "conv1", "biases")}
    training_cost.draw_rates(ax, epochs, series, title)
plt.tight_layout()
plt.show()
frozen = next(e for e, r in zip(epochs, by_hand, strict=True) if r.conv1 == 0)
quiet = next(e for e, r in zip(epochs, by_hand, strict=True) if r.noise == 0)
print(f"run 145: conv1 frozen from epoch {frozen:g}, no colour noise from epoch {quiet:g}")
assert round(by_hand[-1].biases / by_hand[-1].weights) == 2000
assert {r.biases / r.weights for r in by_rule} == {2.0}

# %% [markdown]
# **How to read it.** By the rule all lines fall together; biases learn twice as fast, which the paper does not say and the code does. In run 145 the
# biases end at 2000 times the rate of the weights, and conv1's line ends at epoch 72: nothing is changed there any more.
#
# **One crop for 32 images.** §4.1 speaks of random 224 × 224 patches. The code drew one place and one reflection for 32 images in a row. Different
# crops in a batch of 128:

# %%
for shared in (1, 32):
    crops = draw_crops(128, (32, 32), torch.Generator().manual_seed(0), shared=shared)
    different = len(set(zip(*(part.tolist() for part in crops), strict=True)))
    print(f"one draw for {shared:2} image(s): {different:3} different crops in a batch")
assert different == 4

# %% [markdown]
# (`alexnet-edu train --shared-crops 32` does that.)
#
# **Reading beside computing.** A thread decoded the next images, and the next batch was sent to the GPU while it worked on this one (two buffers). So did
# ours: `Feed` decodes four batches ahead. What the rehearsal measured above says how much is left to wait for:

# %% tags=["nbval-ignore-output"]
measured = next((row for row in now.rows if row["kind"] == "rehearsal"), None)
if measured is not None:
    training, feed = measured["images_per_s"], measured["feed_images_per_s"]
    print(f"training {training:,.0f} images/s, reading alone {feed:,.0f} images/s")
    print(f"waiting for images: {measured['waited']:.0%} of the time")

# %% [markdown]
# ### What readers ask
#
# - **Can I stop for a week and go on?** Yes, also with another number of processes, or with columns in place of one device: the checkpoint
#   holds the whole network, and the batch is that of all processes together.
# - **What if it dies in the night?** *Resume*. At most a thousand steps are done again. If the loss was no number, nothing was saved after
#   it, and the log says which layer went first and what to change.
# - **Why not larger batches with today's GPUs?** They are another recipe: the rate has to change with them. `--batch-size` and `--rate` let you try.
#
# ## 7 · Exercises
#
# Type your answer in place of `None` and run the cell. `hint("06.1")` gives a hint. Solutions are in `notebooks/solutions/`.
#
# **06.1** (5 minutes, easy). How many updates of the weights are 90 epochs over 1,281,167 images with batches of 128? The last batch
# of an epoch may be smaller.

# %%
answer_1 = None
check("06.1", answer_1)

# %% [markdown]
# **06.2** (10 minutes, easy). 90 epochs took five and a half days on two GTX 580 (1.581·10¹² operations in a second each). Which share of their peak
# was that?

# %%
answer_2 = None
check("06.2", answer_2)

# %% [markdown]
# **06.3** (15 minutes, medium). Write a function of a tensor of validation errors and a patience that says how often the rate
# has fallen: whenever so many errors in a row brought no new best, three times at most.


# %%
def times_fallen(errors, patience): ...


answer_3 = None  # times_fallen
check("06.3", answer_3)

# %% [markdown]
# **06.4** (15 minutes, medium). Several processes share each batch. Write a function that gives the images of process `rank` of `world` at step
# `step` of an epoch with this `order`. Together they must have the batch of that step, each image once, and none may have over one image more than another.


# %%
def rows(order, step, batch, rank, world): ...


answer_4 = None  # rows
check("06.4", answer_4)

# %% [markdown]
# **06.5** (15 minutes, harder). A checkpoint takes 4 seconds. The machine crashes once a day (86,400 s), at no particular moment, and what was computed since the
# last checkpoint is lost. After how many seconds should one save, so that the least time is lost?

# %%
answer_5 = None
check("06.5", answer_5)

# %% [markdown]
# ## 8 · Verdict
#
# The paper, the log, and the training of this notebook. (After a training on ImageNet: `report(mine)`.)

# %% tags=["nbval-ignore-output"]
finished = run_control.status(mine)
report(mine) if IMAGENET and finished.state == "finished" else report(run, note)

# %% [markdown]
# And what the project knows of the claims, whoever ran them:

# %%
verdict(
    ["lr-schedule", "two-gpu-time", "table1", "table2-1", "depth"],
    why={
        "lr-schedule": "Five to six days are 35% to 29% of what two GTX 580 can do: a plausible figure for kernels written by hand. The rule of the "
        "paper is a simplification of what the notes say: conv1, the biases and the colour noise had schedules of their own.",
        "two-gpu-time": "By arithmetic; see notebook 05.",
        "table1": "It takes the images of ILSVRC-2010, the only year whose test labels were published (§2). Laid out as class folders they are "
        "prepared and trained on by the same commands.",
        "table2-1": "It takes ImageNet and a machine for it. This notebook starts that training; whoever runs it finds the errors in the table above.",
        "depth": "Each layer left out is a training on ImageNet of its own.",
    },
)

# %%
if my_share is not None:
    print(f"share of the peak: you predicted {my_share:.0%}, by arithmetic 29% to 35%")
if my_hours is not None:
    fair = training_cost.seconds(whole, training_cost.DEVICES["H100 SXM"].peak("bfloat16"), 0.35) / 3600
    print(f"hours of one H100 at 35% of its peak: you predicted {my_hours:g}, by arithmetic {fair:.1f}")

# %% [markdown]
# **Next**: notebook 07, what the 96 kernels of the first layer have become.
