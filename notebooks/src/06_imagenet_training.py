# %% [markdown]
# # 06 · The full training: 90 epochs, and how to survive them
#
# **The claims** (§5, §6). Batches of 128; one learning rate for all layers, from 0.01, divided by ten when the validation error stops improving,
# three times in all. About 90 epochs over 1.2 million images take five to six days on two GTX 580. One network then has an error of 40.7% / 18.2%
# (top-1 / top-5) on the validation images of 2012.
#
# **The answer.** The errors need ImageNet. The rest can be checked on a laptop. Five to six days are what the arithmetic gives at a third of those GPUs' peak.
# The rule for the rate is sound only with enough validation images. And a long training can be killed and resumed without a single bit changing, if it saves four things.

# %%
import math
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from alexnet_edu import paper
from alexnet_edu.imagenet.recipe import Recipe
from alexnet_edu.lessons import imagenet as lesson
from alexnet_edu.model.architecture import variant
from alexnet_edu.notebook import at_scale, check, hint, load_cifar10, show, verdict
from alexnet_edu.studies.ablations import small_alexnet
from alexnet_edu.studies.run import build
from alexnet_edu.training.loop import order_of_epoch
from alexnet_edu.training.sgd import PaperSGD

show(*lesson.schedule_2012())

# %% [markdown]
# This is the training behind "1 CNN" in Table 2. The paper's rule shows as three falls, each made by hand after a look at a curve.
#
# **Know first:** [00](00_start_here.ipynb), how multiply-adds are counted. **Time:** 45 minutes, three of them computing, and 50 minutes of
# exercises. To train the real network, go to the [runbook](further/06_runbook.ipynb).
#
# ## 1 · Predict
#
# A network keeps improving for 12 epochs; there is no plateau in sight. After each epoch you measure its error on 500 validation images. Your
# rule: after two measurements without a new best, the rate falls. You repeat this with 20 different sets of 500 images. **On how many
# of the 20 will the rate fall?**

# %%
my_sets = None  # 0 to 20

# %% [markdown]
# ## 2 · Derive
#
# **What does it cost?** A neuron of a convolution multiplies and adds once for each of its weights. On the way back a layer computes twice as much: the gradient of its
# weights, and the gradient of its inputs for the layer below. Nobody needs the gradient of the pixels, so conv1 computes only the first.

# %%
operations = 0  # of one image, in training
for layer in paper.LAYERS:
    multiply_adds = layer.side**2 * layer.outputs * layer.kernel**2 * layer.inputs
    operations += 2 * multiply_adds * (2 if layer.name == "conv1" else 3)

training = 90 * 1_281_167 * operations
two_gpus = 2 * 512 * 1.544e9 * 2  # GPUs × cores × clock × (one multiplication, one addition)
for days in (5, 6):
    print(
        f"{training:.2e} operations in {days} days: {training / (two_gpus * days * 86_400):.0%} of the peak"
    )

# %% [markdown]
# A third of the peak is a good figure for kernels written by hand. It would be a good figure today.
#
# **Which images, when?** In each epoch every image is used once, in a new order. Let the order depend on the seed and the epoch alone. Then
# step $s$ always has the same images, whoever asks and whatever was killed before.


# %%
def images_of_step(s, seed, count, batch):
    epoch, place = divmod(s, math.ceil(count / batch))
    drawn = torch.Generator().manual_seed(seed * 100_003 + epoch)
    return torch.randperm(count, generator=drawn)[place * batch : (place + 1) * batch]


# %% [markdown]
# **When does the rate fall?** "When the validation error stops improving" must become a number: a patience.


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
# `alexnet-edu train` counts, orders and lowers the rate by the same three rules:

# %%
errors = [0.9, 0.8, 0.8, 0.8, 0.7, 0.7, 0.7, 0.7]
rule = Recipe(schedule="plateau", patience=2)
order = torch.cat([images_of_step(s, 3, 1000, 128) for s in range(8, 16)])
print("the same cost: ", operations == lesson.operations_per_image(variant("paper")))
print("the same order:", torch.equal(order, order_of_epoch(1000, 3, epoch=1)))
print("the same rate: ", all(rate_after(errors[:n]) == rule.rates(n, errors[:n]).weights for n in range(9)))

# %% [markdown]
# ## 4 · Run
#
# A small AlexNet with dropout learns 6,000 images of CIFAR-10, at a constant rate; test images serve as validation images. The weights, the velocities, the
# step and the record of errors are all there is to know, so they go into a file. Even dropout depends only on the seed and the step.

# %%
images, batch_size = load_cifar10(), 128
count, epochs, killed_at = at_scale((400, 4, 2), (6_000, 12, 5))
some = torch.randperm(len(images.train), generator=torch.Generator().manual_seed(0))[:count]
(x, y), (x_val, y_val) = (
    ((part.pixels[:, :, 4:28, 4:28].float() - 128) / 64, part.labels)
    for part in (images.train.subset(some), images.test)
)


def train(until, file, seed=0):
    net = build(small_alexnet("dropout"), 24, 10, seed)
    optimizer = PaperSGD(net.parameters(), lr=0.005)
    step, wrong = 0, []  # wrong: for each epoch, which validation images
    if file.exists():
        saved = torch.load(file)
        net.load_state_dict(saved["weights"])
        optimizer.load_state_dict(saved["velocities"])
        step, wrong = saved["step"], saved["wrong"]
    while len(wrong) < until:
        torch.manual_seed(1_000_003 * seed + step)  # dropout at this step
        batch = images_of_step(step, seed, count, batch_size)
        optimizer.zero_grad()
        F.cross_entropy(net(x[batch]), y[batch]).backward()
        optimizer.step()
        step += 1
        if step % math.ceil(count / batch_size) == 0:
            net.eval()
            with torch.no_grad():
                wrong.append(torch.cat([net(some).argmax(1) for some in x_val.split(1_000)]) != y_val)
            net.train()
    saved = {"weights": net.state_dict(), "velocities": optimizer.state_dict(), "step": step, "wrong": wrong}
    torch.save(saved, file)
    return net, [of_epoch.float().mean().item() for of_epoch in wrong], torch.stack(wrong).float()


# %% [markdown]
# **Does the rule fire?** For each size, 20 sets of validation images are drawn. `rate_after` says for each set whether its rate would have
# fallen.

# %% tags=["nbval-ignore-output"]
folder = Path(tempfile.mkdtemp())
network, errors, wrong = train(epochs, folder / "whole.pt")
sets, fell = {}, {}
for size in at_scale((25, 50, 100), (250, 500, 1_000, 2_000, 5_000)):
    drawn = [torch.randperm(len(y_val), generator=torch.Generator().manual_seed(i))[:size] for i in range(20)]
    sets[size] = [wrong[:, index].mean(1).tolist() for index in drawn]
    fell[size] = sum(rate_after(curve) < 0.01 for curve in sets[size])
show(*lesson.false_falls(errors, sets, fell, images, my_sets))

# %% [markdown]
# An error of 0.6, measured on 500 images, has a standard deviation of $\sqrt{0.6 \cdot 0.4 / 500}$, over two points: more than an epoch brings here. With the contest's
# 50,000 images it is a fifth of a point. So copy the rule, and copy the number of images with it.
#
# **Does it survive?** The same training again, killed after five epochs. Everything in memory is gone; only the file is left.

# %% tags=["nbval-ignore-output"]
train(killed_at, folder / "killed.pt")
again, resumed, _ = train(epochs, folder / "killed.pt")
same = all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
show(*lesson.resumed(errors, resumed, killed_at, same, images))

# %% [markdown]
# Not "about the same": the same bits. That is worth having, because then any difference means a bug. A test holds `alexnet-edu train` to it, with one process and with
# two. (On a GPU sums may be added in an order that is not fixed. There even a single step agrees only up to rounding.)
#
# ## 5 · Look
#
# **Move the controls.** How long would your machine take? What if the images arrive more slowly than the GPU could use them? One core of a server
# decodes about 1,600 photographs a second, prepared as in the runbook; the two GPUs of 2012 needed about 250 between them.

# %%
lesson.cost_explorer(frames={"feed": (math.inf, 2000)})

# %% [markdown]
# The peaks are those of data sheets, and the share is your assumption: so small a network rarely reaches a third of the peak of a large GPU. Measure before you
# believe a number.
#
# ## 6 · What the 2012 code did
#
# - **One rate for all layers?** Not quite. In run 145 the biases kept 0.02 from first to last; around epoch 67 the rate of conv1 fell to a tenth, and at 72 conv1 was frozen. The
#   colour noise of §4.1 was switched off around epoch 67. The paper mentions none of this.
# - **One process, one thread for each GPU**, with messages between them. Our two columns are two processes.
# - **One crop for 32 images.** The place of the crop and the reflection were drawn once for 32 images in a row, so a batch of 128 had only four such draws. (`--shared-crops 32` does that.)
# - **Reading beside computing.** A thread decoded the next images while the GPUs worked on the current ones. Ours does, too.
#
# ## 7 · Verdict
#
# Two more claims stand here because they, too, need whole trainings on ImageNet: Table 1, and what a layer is worth.

# %%
verdict(
    ["lr-schedule", "table1", "table2-1", "depth"],
    why={
        "lr-schedule": "The rule pays where it can see the plateau, which takes enough validation images. Five to six "
        "days are a third of the peak of two GTX 580.",
        "table1": "It takes the images of ILSVRC-2010, the only year whose test labels were published (§2).",
        "table2-1": "It takes ImageNet and a machine for it; the runbook starts that training.",
        "depth": "Each layer left out is a training on ImageNet of its own.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("06.1")` helps; solutions are in `notebooks/solutions/`.
#
# **06.1** (5 minutes). How many updates of the weights are 90 epochs over 1,281,167 images in batches of 128? The last batch of an
# epoch may be smaller.

# %%
answer_1 = None
check("06.1", answer_1)

# %% [markdown]
# **06.2** (10 minutes). After each epoch you judge all 50,000 validation images, by ten patches each (§4.1). By what share does that raise the
# number of operations of the whole training?

# %%
answer_2 = None
check("06.2", answer_2)

# %% [markdown]
# **06.3** (10 minutes). Would a margin help? Then an error counts as a new best only if it is lower than the best one by more than `margin`. Write a function that returns how often
# this rule has lowered the rate, three times at most; `errors` is a tensor. Then count again in section 4, with a margin of a point or two: `times_fallen(torch.tensor(curve), 2, 0.02)`
# for each `curve` in `sets[500]`. Does the rate fall on fewer sets? Against which kind of luck does a margin help?


# %%
def times_fallen(errors, patience, margin): ...


answer_3 = None  # times_fallen
check("06.3", answer_3)

# %% [markdown]
# **06.4** (10 minutes). Several processes share each batch. Write a function that returns the images of process `rank` of `world` at step `step` of an epoch with this `order`; `batch` is
# the size of a batch. Together the processes have the batch of that step, each image once, and no process has more than one image more than another.


# %%
def rows(order, step, batch, rank, world): ...


answer_4 = None  # rows
check("06.4", answer_4)

# %% [markdown]
# **06.5** (15 minutes, hard). A checkpoint takes 4 seconds. The machine crashes once a day (86,400 s), at no particular moment, and what was computed since the
# last checkpoint is lost. How many seconds apart should checkpoints be, so that the least
# time is lost?

# %%
answer_5 = None
check("06.5", answer_5)

# %% [markdown]
# **A sick patient.** Leave `velocities` out of what is loaded in section 4, delete the old file with `(folder / "killed.pt").unlink()`, and run the last cell of that section again. How far
# off is the first error after the kill? And the last? Would you have noticed?
#
# **To discuss.** In 2012 a person decided when the rate falls. What did they see that a rule does not?
#
# **Go deeper:** the [runbook](further/06_runbook.ipynb), from the archives of ImageNet to a trained network. **Next:** [07](07_kernels.ipynb), what
# the kernels of a first layer become.
