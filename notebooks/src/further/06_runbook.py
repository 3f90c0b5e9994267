# %% [markdown]
# # Further, 06 · Runbook: from the archives to a trained network
#
# What to type, what to look at, and what to do when it goes wrong. Without ImageNet everything here runs on a small set of enlarged images; with it, the same cells train the paper's network.

# %%
import os
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from alexnet_edu.data.cifar10 import runs_dir
from alexnet_edu.data.folders import write_class_folders
from alexnet_edu.imagenet import runs
from alexnet_edu.imagenet.prepare import prepare
from alexnet_edu.lessons import runbook as lesson
from alexnet_edu.notebook import at_scale, load_cifar10, show
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build
from alexnet_edu.training.sgd import PaperSGD

# The folder that `alexnet-edu data imagenet` prepared, if you have one.
IMAGENET = os.environ.get("ALEXNET_EDU_IMAGENET", "")

# %% [markdown]
# ## 1 · Prepare, once
#
# ```
# alexnet-edu data imagenet --from ILSVRC2012 --to imagenet
# ```
#
# `--from` takes the three official tars as they are, or folders `train/<wnid>/…` and `val/…` under any of their usual names. If the validation images lie in one heap and their classes are not found
# beside them, give `--truth FILE`. The result takes about 28 GB. You may interrupt the command: the same command goes on where it stopped.
#
# Here, images of CIFAR-10, enlarged and written the same way:

# %% tags=["nbval-ignore-output"]
images = load_cifar10()
note = "stand-in enlarged" if images.synthetic else "CIFAR-10 enlarged, not ImageNet"
place = at_scale(Path(tempfile.mkdtemp()), runs_dir() / "06")
tree = write_class_folders(
    images, place / "files", **at_scale({"train": 6, "val": 2}, {"train": 200, "val": 50})
)
prepare(tree, place / "prepared", workers=1, say=lambda line: None, progress=False)
prepared = Path(IMAGENET) if IMAGENET else place / "prepared"

# %% [markdown]
# ## 2 · Rehearse
#
# A few steps with the very processes, network and images of the run: how fast, how long, how much memory, how much disk, and which of the two waits, the GPU or the
# images? If the images set the pace, add `--workers`. (After so few steps the share of waiting is only a rough guide.) Columns or copies? `--parallel columns` is the paper's network, a column on each GPU, and needs a fast link between them;
# `--parallel data` shares each batch and is simpler to trust. Both compute the same step.

# %% tags=["nbval-ignore-output"]
how = {"parallel": at_scale("single", "single" if torch.cuda.device_count() == 1 else "columns")}
small = at_scale(
    {"narrow": 16, "batch_size": 16, "epochs": 20, "log_every": 1, "workers": 1},
    {"narrow": 8, "batch_size": 32, "epochs": 10, "log_every": 10},
)
small = how | small | {"rehearsal_steps": 0}
settings = how if IMAGENET else small
folder = runs_dir() / "imagenet" if IMAGENET else place / "first"
if runs.status(folder).state == "none":
    print(runs.rehearse(prepared, folder, steps=4, **settings))

# %% [markdown]
# ## 3 · Start, stop, resume
#
# *Start* launches a process of its own. Close the browser, shut down the kernel: the training goes on, and this cell finds it again. *Stop* saves first. *Resume* takes the
# newest checkpoint that is whole.

# %% tags=["nbval-ignore-output"]
longer = settings if IMAGENET else settings | {"epochs": at_scale(2_000, 200)}
lesson.dashboard(folder, lambda: runs.start(prepared, folder, **longer), note="" if IMAGENET else note)

# %% [markdown]
# The next cell presses the buttons for you, on the small set: start, some steps, stop, resume, end.

# %% tags=["nbval-ignore-output"]
trial = place / "trial"
if runs.status(trial).state == "none":
    runs.start(place / "prepared", trial, **small)
if runs.wait(trial, lambda now: now.step >= at_scale(3, 80), seconds=600).running:
    runs.stop(trial)
if runs.status(trial).state in ("stopped", "died"):
    runs.resume(trial)
print(runs.wait(trial, seconds=3600).text())

# %% tags=["nbval-ignore-output"]
lesson.dashboard(trial, note=note)

# %% [markdown]
# **How to read it.** Light blue is measured on each batch just before the network learns from it, with dropout and random crops; dark blue is the whole network on the middle patch of
# the validation images. So the training curve may lie above the other. Just after a fall of the rate the loss may jump for some batches: the velocity runs on at its old size (notebook 10b).
#
# **How often to save?** Exercise 06.5: a checkpoint every $\sqrt{2cM}$ seconds, if it takes $c$ and a crash comes every $M$. The default, every 1,000 steps and after each epoch, is a few minutes on a fast GPU.
#
# ## 4 · What a healthy run looks like, and three sick ones
#
# At the first step the loss is $\ln 1000 = 6.9$: a network that knows nothing gives each class the same probability. If the paper's network begins elsewhere, look at its weights. (The small network below begins higher: its weights are
# scaled to the fan-in, so its first logits are large.) Whether the loss then falls is seen within the first epoch. Nobody
# can show you epochs 5 or 25 here: the notes of 2012 hold no curves, and no run of 90 epochs has been recorded by this project yet. But failures look alike at every size. A small AlexNet on 2,000 images:


# %%
def train(epochs, rate=0.01, labels=lambda y: y, val_mean=128.0, seed=0):
    draw = torch.Generator().manual_seed(0)  # images may lie in the order of their classes
    part = images.train.subset(torch.randperm(len(images.train), generator=draw)[: at_scale(200, 2_000)])
    val = images.test.subset(torch.randperm(len(images.test), generator=draw)[: at_scale(100, 1_000)])
    x, y = (part.pixels[:, :, 4:28, 4:28].float() - 128) / 64, labels(part.labels)
    x_val = (val.pixels[:, :, 4:28, 4:28].float() - val_mean) / 64
    net, random = build(small_alexnet(), 24, 10, seed), torch.Generator().manual_seed(seed)
    optimizer, losses, errors = PaperSGD(net.parameters(), lr=rate), [], []
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=random).split(50):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            errors.append((net(x_val).argmax(1) != val.labels).float().mean().item())
    return losses, errors


# %% tags=["nbval-ignore-output"]
epochs = at_scale(2, 8)
mixed = torch.Generator().manual_seed(1)
show(
    *lesson.failures(
        {
            "healthy": train(epochs),
            "ε ten times too high": train(epochs, rate=0.1),
            "labels in another order": train(
                epochs, labels=lambda y: y[torch.randperm(len(y), generator=mixed)]
            ),
            "validation without the mean": train(epochs, val_mean=0.0),
        },
        images,
    )
)

# %% [markdown]
# | sign | cause | what to do |
# |---|---|---|
# | the loss stays at guessing from the start | weights too small or too large, or units that are off for good | notebook 10, the clinic |
# | the loss is not a number (NaN), its curve ends | the rate is too high, or some pixels are NaN | nothing was saved after it; the log names the layer that went first; *Resume* with a lower rate |
# | the loss hovers at guessing, no curve falls | labels do not belong to images | look at images with their labels; `--truth` |
# | training falls as it should, validation hardly | validation images are prepared in another way, or their labels are in another order | compare the pixels of both splits; `--truth` |
# | training and validation fall, then validation rises | too few images, or dropout is missing | notebook 09 |
# | the rate falls in the first epochs | too few validation images for the patience | lesson 06, section 4; a longer `--patience` (a `--margin` makes it worse) |
# | slow, and it waits for images | decoding | `--workers`, or copy the prepared files to a faster disk |
#
# ## 5 · The result
#
# The paper, the notes of 2012, and the run in the folder (the trial, as long as yours has not ended):

# %% tags=["nbval-ignore-output"]
ended = runs.status(folder).state == "finished"
lesson.report(folder if ended else trial, "" if IMAGENET and ended else note)

# %% [markdown]
# **In a terminal**, on a machine with two GPUs:
#
# ```
# torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel columns --data imagenet --folder runs/first --rehearse-only
# torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel columns --data imagenet --folder runs/first
# torchrun --nproc-per-node 2 -m alexnet_edu.cli train --parallel columns --data imagenet --folder runs/first --resume auto
# alexnet-edu evaluate runs/first/best.safetensors --data imagenet
# ```
#
# ### What people ask
#
# - **Can I stop for a week?** Yes. You may also go on with another number of processes, or with columns in place of one device: the checkpoint holds the whole network.
# - **What if it dies in the night?** *Resume*. At most a thousand steps have to be repeated.
# - **Why not larger batches?** They are another recipe: the rate has to change with them. `--batch-size` and `--rate` let you try.
