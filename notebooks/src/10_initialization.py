# %% [markdown]
# # 10 · Initialization: why does my AlexNet not train?
#
# **The claim** (§5). Weights start at $\mathcal N(0, 0.01^2)$. Biases start at 1 in conv2, conv4, conv5 and the hidden
# fully connected layers, at 0 elsewhere (so not in conv3 or fc8, as one often reads); the ones are said to speed up early learning by giving
# the ReLUs positive inputs.
#
# **The answer.** They do, by a fraction of an epoch. But try the paper's start today and the loss stands at
# $\ln 1000 = 6.908$ (with ten classes: $\ln 10 = 2.303$) and never moves. The network is the same. The pixels are not.

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.lessons import initialization as lesson
from alexnet_edu.model.architecture import fan_ins, variant
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict
from alexnet_edu.studies import clinic
from alexnet_edu.studies.clinic import Setting

cells = clinic.load()
show(*lesson.three_inputs(cells))

# %% [markdown]
# Ten images of CIFAR-10, one of each class, to be learned by heart: the smallest test there is. A network that fails it will
# not learn a million. (The orange and the green curve lie on top of each other, at chance. The leap of the blue one is real: with pixels
# this large the steps become too long once the network has learned.)
#
# **Know first:** what a standard deviation is, and that $\mathrm{Var}(aX) = a^2\,\mathrm{Var}(X)$. **Time:** 45 minutes, of which
# two of computing, and 40 minutes of exercises.
#
# ## 1 · Predict
#
# Raw pixels, 0–255 minus the mean, differ by about 60 from one image to the next (root mean square). **By how much do the ten images
# differ in the logits, eight layers later, before the first step?**

# %%
my_difference = None  # for example 1.0

# %% [markdown]
# ## 2 · Derive
#
# One output of a layer is $z = \sum_{i=1}^{n} w_i x_i + b$. It has $n$ inputs, its *fan-in*. The weights are drawn from
# $\mathcal N(0, \sigma^2)$, each on its own. Then, on average over the weights and for *any* inputs $x$,
#
# $$\mathbb{E}\,(z - b)^2 = \sigma^2 \sum_{i=1}^{n} x_i^2 = n\,\sigma^2\;\overline{x^2}.$$
#
# The same holds for what distinguishes two images, $x - x'$: it leaves the layer $\sqrt n\,\sigma$ times as large. Then ReLU
# throws away half of the power (the mean square) of a signal that is as often negative as positive. So each layer multiplies the
# difference by its **gain**:
#
# $$\sqrt{n/2}\;\sigma \quad \text{if half of the ReLUs are off}, \qquad\qquad \sqrt{n}\;\sigma \quad \text{if all are on.}$$
#
# **That is what the biases of 1 are for.** Small weights make $z \approx b = 1 > 0$, so every ReLU is on, nothing is halved, and on
# the way back every gradient gets through. Each of the five layers passes on $\sqrt 2$ times as much as it would with a bias of 0:
# $\sqrt 2^{\,5} = 5.7$ in all.
#
# Two more factors are known. Normalization (§3.3) multiplies small activations by $2^{-0.75} = 0.59$, in two layers, and dropout's 0.5
# counts in two others. Here is the whole theory:


# %%
def predicted_differences(pixel_difference, sigma=0.01, ones=("conv2", "conv4", "conv5", "fc6", "fc7")):
    """What differs between images in each layer's output, before ReLU: name -> root mean square."""
    difference, predicted = pixel_difference, {}
    for name, n in fan_ins(variant("paper")).items():
        difference = n**0.5 * sigma * difference
        predicted[name] = difference
        if name not in ones:
            difference /= 2**0.5  # ReLU: half of the units are off
        if name in ("conv1", "conv2"):
            difference *= 2**-0.75  # normalization
        if name in ("fc6", "fc7"):
            difference *= 0.5  # dropout, as at test time in 2012
    return predicted


# %% [markdown]
# ## 3 · Bridge
#
# Does one layer of the package's network do what one line says? Its conv1 has a fan-in of $11 \cdot 11 \cdot 3 = 363$.

# %%
x = torch.randn(8, 3, 224, 224, generator=torch.Generator().manual_seed(0))  # root mean square 1
conv1 = clinic.build(Setting(biases="zeros")).stages["conv1"].weights
print(f"predicted {363**0.5 * 0.01:.3f}, measured {conv1(x).square().mean().sqrt():.3f}")

# %% [markdown]
# (A little less: at the border a window hangs over the edge and sees zeros.) Now all eight layers, theory and measurement. The
# dotted mark at fc8 is your guess, if you made one.

# %%
show(*lesson.signal_by_layer(cells, predicted_differences, my_difference))

# %% [markdown]
# In most of the eight layers the gain is below one. From raw pixels a few thousandths are left; from pixels of 0–1 two
# hundred-thousandths: **the logits of a cat and of a ship agree to four digits**, and a loss can only fall by what differs.
# The theory misses one thing that helps, maximum pooling, which keeps the largest of nine, and one that hurts: large
# activations are squeezed harder by the normalization.
#
# ## 4 · Run
#
# One patient, and the one change that heals it. Both networks get standardized pixels and biases of 0. One has the paper's weights,
# the other those of He et al. (2015), $\sigma = \sqrt{2/n}$: a gain of 1 in every layer. At scale `laptop` this is the paper's
# network at full size, 57 million weights. It takes a minute or so for each.


# %%
def learn_by_heart(net, x, labels, steps):
    """The loss before each step of plain SGD with momentum, all images in one batch."""
    net.eval()  # no dropout masks: a network that is blind to the images would learn its masks by heart
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(net(x), labels)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


# %% tags=["nbval-ignore-output"]
images = load_cifar10().train
ten = clinic.batch_of(images)
losses = {}
for name, weights in {"N(0, 0.01²)": "paper", "He: N(0, 2/n)": "he"}.items():
    net = clinic.build(Setting("standardized", weights, "zeros"), divisor=at_scale(16, 1))
    losses[name] = learn_by_heart(net, ten.scaled("standardized"), ten.labels, steps=at_scale(24, 12))
show(*lesson.patient(losses, images))

# %% [markdown]
# ## 5 · Look
#
# Three ways to scale the inputs, three to draw the weights (the paper's; the authors' file, with 0.03 in conv3–5; He's), two to start
# the biases, and two rules: 36 ways to start. Each was given sixty steps, in a network with the same depth and the same gains but
# eight times narrower. The second line of a cell gives its highest and its last loss.

# %%
show(*lesson.fates(cells))

# %% [markdown]
# Three illnesses, one cure each:
#
# - **The flat loss.** $\mathcal N(0, 0.01^2)$ with pixels from 0 to 1, or standardized ones. Nothing differs in the logits. This is
#   what happens to anyone who rebuilds AlexNet from the paper with a modern data loader. *Cure:* the pixels of the paper, or weights of
#   today.
# - **The slow start.** The paper's own setting, raw pixels: flat for more than twenty steps, then it learns. Biases of 0 make it
#   slower still. *Cure:* 0.03 in three layers, as in the authors' file.
# - **The explosion.** He's weights with raw pixels. At full size the loss passes a thousand within two steps; in the narrow network of the
#   table it leaps at once, and then nothing gets through any more, or the network learns and leaps again. *Cure:* divide the pixels. And ones belong to *small*
#   weights: with He's they only make the logits loud.
#
# Adam learns everywhere here, because its steps do not shrink with the gradient. Do not be too pleased: in the full-size network, with the
# paper's weights and biases, its first step of 0.001 for every weight sends the loss from 2.4 to 51. The weights themselves are about 0.01.
#
# **Choose a patient yourself.** On the left, the full-size network before the first step. Find a patient whose two lines drift apart there and
# whose loss, on the right, stands still. Which single change heals it?

# %% tags=["nbval-ignore-output"]
lesson.clinic_explorer(cells, frames={"inputs": ("raw", "unit")})

# %% [markdown]
# **And the claim?** A small AlexNet on all of CIFAR-10, raw pixels, $\mathcal N(0, 0.01^2)$, with biases of 1 and of 0:

# %%
show(*lesson.early_learning(load("start")))

# %% [markdown]
# The curves have the same shape, but one is late: by a fifth of an epoch at first, by half an epoch at the end. So the ones do speed up
# *early* learning. Three epochs cannot show whether anything of it lasts. (Bands: the three seeds.)
#
# **When your own network does not train,** look in this order. (1) The loss before the first step: it should be
# $\ln(\text{classes})$; far above means loud logits. (2) The spread of the logits between images: below a thousandth means the signal
# dies on the way, so print it layer by layer. (3) Ten images by heart: if that fails, there is a bug, or it is one of the first
# two.
#
# ## 6 · What the 2012 code did
#
# - **0.03 in conv3, conv4 and conv5**, where the paper says 0.01 for every layer. In the clinic that leaves fifteen times as much
#   difference in the logits, and the loss falls below 2 after 6 steps in place of 28 (raw pixels, SGD).
# - **The biases are as printed.**
#
# ## 7 · Verdict

# %%
verdict(
    ["init"],
    why={
        "init": "Biases of 1 keep all ReLUs on, which multiplies signal and gradient by about √2 in each of "
        "their layers. They bring the start forward, by a fraction of an epoch here.",
    },
)

# %% [markdown]
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("10.3")` helps; solutions are in `notebooks/solutions/`.
#
# **10.3** (5 minutes). Which $\sigma$ gives conv2 a gain of 1, if half of its ReLUs are off? Its kernels are 5×5 and read the 48 maps of
# their own column.

# %%
answer_3 = None
check("10.3", answer_3)

# %% [markdown]
# **10.6** (10 minutes, a bug hunt). Someone means to initialize every layer by He's rule, and yet the grouped conv2 passes on less than half
# of the signal. Write the function as it should be.
#
# ```python
# def he_std(weight):
#     """The standard deviation for a weight of shape (outputs, inputs of one group, k, k) or (outputs, inputs)."""
#     n = weight.shape[0] * weight[0, 0].numel()
#     return (2 / n) ** 0.5
# ```


# %%
def he_std(weight): ...


answer_6 = None  # he_std
check("10.6", answer_6)

# %% [markdown]
# **10.7** (10 minutes, change it and run again). Back to section 4. Keep $\mathcal N(0, 0.01^2)$, standardized pixels and biases of 0, and
# multiply the logits by a constant $c$ before the loss: `F.cross_entropy(c * net(x), labels)`. Does any $c$ between 10 and 100 heal the
# patient? (Set `divisor=8` and `steps=60`: seconds in place of a minute.) For the check: the loss sees $c\,Wx$. One step of the *last* layer's
# $W$ changes it. By what factor does $c = 100$ enlarge that change, as long as the softmax is nearly uniform?

# %%
answer_7 = None
check("10.7", answer_7)

# %% [markdown]
# **10.8** (15 minutes, hard). All biases 0, all eight layers with one and the same $\sigma$. Normalization and dropout count as in
# section 2; pooling does not. Which $\sigma$ carries the difference between two images to the logits at the size it has in the
# pixels? (There are seven ReLUs.)

# %%
answer_8 = None
check("10.8", answer_8)

# %% [markdown]
# **To discuss.** Batch normalization is said to make this lesson unnecessary. Which of the three illnesses does it cure, and how?
#
# **Go deeper:** [every line of the clinic](further/10_every_patient.ipynb). **Repeat the records:** `alexnet-edu experiment
# clinic`, `alexnet-edu experiment start`. **Next:** [10b](10b_update_rule.ipynb), the rule that moves the weights once they have started.
