# %% [markdown]
# # 01 · ReLU against tanh: where does the factor of six come from?
#
# **The claim** (§3.1, Figure 1). A small convolutional network on CIFAR-10 reaches 25% *training* error six times
# faster with ReLU than with tanh. Each network has its own learning rate; nothing is regularized.
#
# **The answer.** It holds here: tanh takes 6.7 times as many epochs. But the factor depends on something the claim never
# mentions, and by the end of this lesson you will know what.

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.lessons import relu as lesson
from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet
from alexnet_edu.notebook import at_scale, check, hint, load, load_cifar10, show, verdict

record = load("figure1")
show(*lesson.figure_1(record))

# %% [markdown]
# Each thin line is one network. The two open marks are where the published curves cross 25%, read by eye from the paper's
# Figure 1.
#
# **Know first:** what a convolution and a gradient are. **Time:** 45 minutes, of which two or three of computing, and
# 45 minutes of exercises.
#
# ## 1 · Predict
#
# In 2012 the network saw raw pixels: 0–255 minus the mean image, with a standard deviation of about 63 grey levels.
# **Divide all pixels by 63, choose both learning rates anew, and change nothing else. What is the factor now?**
# Write your guess down; a reason is worth more than the number.

# %%
my_factor = None  # for example 3

# %% [markdown]
# ## 2 · Derive
#
# A unit computes $z = \sum_i w_i x_i + b$ and returns $f(z)$. On the way back, the gradient of the loss $L$ is
# multiplied by the slope of $f$:
#
# $$\frac{\partial L}{\partial z} = \frac{\partial L}{\partial f}\, f'(z), \qquad
# \tanh'(z) = 1 - \tanh^2(z), \qquad
# \mathrm{ReLU}'(z) = \begin{cases} 1 & z > 0 \\ 0 & z \le 0. \end{cases}$$
#
# Far from zero the slope of tanh vanishes. We call a value *saturated* where the slope is below 0.05. ReLU never saturates on its right, however
# large $z$ becomes. So the question is how large $z$ *is*.
#
# Take the first layer. Its weights start at $\mathcal N(0, 0.01^2)$ (§5), and a 5×5 kernel on three channels sees
# $5 \cdot 5 \cdot 3 = 75$ pixels, each with a standard deviation of 63:
#
# $$\sigma_z = 0.01 \cdot \sqrt{75} \cdot 63 \approx 5.5 .$$

# %%
sigma_z = 0.01 * 75**0.5 * 63
z = sigma_z * torch.randn(100_000, generator=torch.Generator().manual_seed(0))
for name, slope in {"tanh": 1 - torch.tanh(z) ** 2, "ReLU": (z > 0).float()}.items():
    print(
        f"{name}: {(slope < 0.05).float().mean():.0%} of the values of z pass less than 5% of their gradient"
    )

# %% [markdown]
# A surprise: ReLU blocks half of its gradients, too. But it blocks them *exactly*, and passes the other half whole.
# §3.3 says that is enough: as long as *some* training example makes $z$ positive, the unit learns. (And a unit that no
# example turns on? Apart from what momentum still carries, its weights stop. Only a change in the layers below can bring it
# back, and below the first layer there are none.)
#
# Here is the network: three convolutions and a classifier, as in the authors' CIFAR-10 files. And the training: plain
# SGD with momentum.


# %%
def four_layers(x, weights, biases, f):
    """x: (N, 3, 32, 32), pixels minus their mean -> (N, 10) logits."""
    for w, b, pool in zip(weights, biases, (F.max_pool2d, F.avg_pool2d, F.avg_pool2d)):
        x = F.conv2d(x, w, b, padding=2)  # (N, C, h, w)
        x = pool(f(x), kernel_size=3, stride=2, ceil_mode=True)  # (N, C, h/2, w/2)
    return x.flatten(1) @ weights[3].T + biases[3]  # (N, 10)


def train(net, pixels, labels, rate, steps, seed=0):
    """Training error of each batch of 128, measured before the step that learns from it."""
    weights = list(net.parameters())
    velocities = [torch.zeros_like(w) for w in weights]
    random, errors = torch.Generator().manual_seed(seed), []
    for _ in range(steps):
        batch = torch.randint(len(pixels), (128,), generator=random)
        logits = net(pixels[batch])
        gradients = torch.autograd.grad(F.cross_entropy(logits, labels[batch]), weights)
        with torch.no_grad():
            for w, v, g in zip(weights, velocities, gradients):
                v.mul_(0.9).sub_(rate * g)
                w.add_(v)
        errors.append((logits.argmax(1) != labels[batch]).float().mean().item())
    return errors


# %% [markdown]
# ## 3 · Bridge
#
# The package's network is the same, and faster:


# %%
def make(f, seed=0):
    net = FourLayerNet(CifarNetConfig(f), torch.Generator().manual_seed(seed))
    return net.to(memory_format=torch.channels_last)


x = 60 * torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
for name, f in {"relu": torch.relu, "tanh": torch.tanh}.items():
    net = make(name)
    parameters = list(net.parameters())
    print(name, torch.allclose(four_layers(x, parameters[0::2], parameters[1::2], f), net(x), atol=1e-5))

# %% [markdown]
# ## 4 · Run
#
# Four networks: ReLU and tanh, on raw and on standardized pixels. Each uses the learning rate that a search on all of
# CIFAR-10 found best for it; `record.rate` looks it up. This takes two minutes or so on two cores.

# %% tags=["nbval-ignore-output"]
images = load_cifar10().train
some = images.subset(torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:20_000])
raw = (some.pixels.float() - some.pixels.float().mean(0)).contiguous(memory_format=torch.channels_last)
errors = {}
for condition, pixels in {"2012": raw, "standardized": raw / raw.std()}.items():
    for f in ("relu", "tanh"):
        rate = record.rate(f"{condition} {f}")
        errors[condition, f] = train(make(f), pixels, some.labels, rate, steps=at_scale(15, 500, 3000))
show(*lesson.live_curves(errors, images))

# %% [markdown]
# On raw pixels tanh starts level and falls behind after about a hundred batches. On standardized pixels it is ahead almost
# all the way, though the gap is closing. (It is early: 500 batches are 64,000 images, as many as 1.3 epochs of the full
# training set. Below, the same to the end.)
#
# ## 5 · Look
#
# The full experiment, recorded earlier on all of CIFAR-10. For every row the learning rates of both were searched anew (on a
# grid of 1, 2, 5 times powers of ten, until the best had a worse neighbour on either side; they stand beside the marks). The
# results come from fresh seeds: five in the first row, two or three in the others. On this axis a factor is a distance. If you wrote down
# a guess, it is the dotted line in the second row.

# %%
show(*lesson.factors(record, my_factor))

# %% [markdown]
# - **Inputs.** Standardized pixels leave ReLU where it was, once its rate has been chosen anew, and make tanh four times
#   faster. That alone takes most of the factor away. With scaled weights as well, 1.3 is left.
# - **Weights.** The authors' CIFAR-10 files start the first layer a hundred times smaller, where tanh is steep. It does
#   not help. And weights scaled to the fan-in (a variance of 2 over the number of inputs), on raw pixels, hurt both: neither reaches 25%
#   in 25 epochs, ReLU least of all. Nothing bounds its output, and its loss starts at about 130 instead of 2.3.
# - **Network.** With maximum pooling everywhere the factor halves; with half as many kernels tanh does not arrive within 60
#   epochs. The effect varies with the architecture, as §3.1 says.
#
# Why is tanh so slow on raw pixels? Look at its first layer, before training and after 100 steps.

# %% tags=["nbval-ignore-output"]
show(*lesson.first_layer(images))

# %% [markdown]
# Grey is where tanh is saturated. On raw pixels that is 60% from the start and 96% after 100 steps: the units have become
# switches that say $-1$ or $+1$. On standardized pixels the layer begins on the steep part and stays there for now. (Why is
# 1.7 left? There, too, the layers saturate, but slowly, over epochs: the further notebook *What happens inside* shows it. That is
# a likely reason, not a tested one.)
#
# (The measured $\sigma_z$ is close to the 5.5 we derived, not equal. The zeros that pad the border take 4%. The rest is
# chance: neighbouring pixels are alike, so a kernel's response depends on the sum of its weights, and 32 kernels are few.)
#
# A step makes it worse. The gradient of a first-layer weight contains the pixel $x_i$, and $z$ contains it once more. For one
# example, without momentum,
#
# $$\Delta z = \sum_i \Delta w_i\, x_i = -\varepsilon\, \frac{\partial L}{\partial z} \sum_i x_i^2 ,$$
#
# so the size of the pixels counts twice. (How much that makes, and how to undo it, is exercise 01.5.) Now take the network
# apart yourself. **Keep the raw pixels. Can any other single change (weights, rate, activation) keep the first layer off the grey for
# 100 steps?** Try, then explain. (The package pools before it applies $f$, so here $z$ is the largest of nine: it leans to the right.
# Batches have 32 images.)

# %% tags=["nbval-ignore-output"]
lesson.activation_explorer(images, frames={"steps": (0, 100)})

# %% [markdown]
# ## 6 · What the 2012 code did
#
# - **There is no tanh run** in the authors' released code and logs. Figure 1 cannot be checked against them.
# - **Pooling comes before ReLU** in some files. For a function that never falls the order makes no difference,
#   $\max_i f(z_i) = f(\max_i z_i)$, and pooling first is cheaper: $f$ is computed on a quarter of the values.
# - **ReLU was not new.** The paper takes it from Nair and Hinton (2010). What was new was how far it went.
#
# ## 7 · Verdict

# %%
verdict(
    ["relu-6x", "relu-several", "relu-saturate"],
    why={
        "relu-6x": "On raw pixels, as in 2012. Standardized inputs leave 1.7; with weights scaled as well, 1.3.",
        "relu-several": "On raw pixels, in three networks. On standardized inputs it is less than two.",
        "relu-saturate": "Standardizing the inputs does not make ReLU faster, once ε is chosen anew. (Large inputs "
        "have other troubles: with weights scaled to the fan-in the loss starts very large.)",
    },
)

# %% [markdown]
# Does the factor carry over to ImageNet? The paper gives no number, and a CIFAR-10 run cannot tell.
#
# ## 8 · Exercises
#
# Replace `None` and run the cell. `hint("01.1")` helps; solutions are in `notebooks/solutions/`.
#
# **01.1** (5 minutes). The logistic sigmoid $\sigma(z) = 1/(1+e^{-z})$ was the other common choice. Counting slopes
# alone, what is the largest share of a gradient that can pass *three* layers of it?

# %%
answer_1 = None
check("01.1", answer_1)

# %% [markdown]
# **01.2** (5 minutes). §3.1 also mentions $f(z) = |\tanh(z)|$. Find two numbers $a$ and $b$ for which pooling first and
# pooling last differ: $\max(f(a), f(b)) \ne f(\max(a, b))$.

# %%
answer_2 = None  # a pair, for example (1.0, 2.0)
check("01.2", answer_2)

# %% [markdown]
# **01.3** (10 minutes, a bug hunt). This ReLU gives the right outputs, and yet a network made of it learns badly. Find the
# mistake, and write a backward pass that is right. (And what is wrong with `abs(z) * (z > 0)`, which people also write? Ask
# autograd for its gradient at 0, and for its output where $z$ is NaN.)
#
# ```python
# class MyReLU(torch.autograd.Function):
#     @staticmethod
#     def forward(ctx, z):
#         y = z.clamp(min=0)
#         ctx.save_for_backward(y)
#         return y
#
#     @staticmethod
#     def backward(ctx, gradient):
#         (y,) = ctx.saved_tensors
#         return gradient * (y >= 0)
# ```


# %%
def relu_backward(gradient, y):
    """gradient: ∂L/∂y. y: the saved OUTPUT of ReLU. Returns ∂L/∂z."""


answer_3 = None  # relu_backward
check("01.3", answer_3)

# %% [markdown]
# **01.4** (10 minutes, change it and run again). By what number must the raw pixels be divided so that just 5% of the
# tanh units of the first layer start out saturated (a slope below 0.05)? Derive it from the
# $\sigma_z$ of section 2. Then run `train(make("tanh"), raw / answer_4, some.labels, rate=0.01, steps=500)` and compare with
# section 4.

# %%
answer_4 = None
check("01.4", answer_4)

# %% [markdown]
# **01.5** (15 minutes, hard). Standardizing is not magic: it can be undone. A network is trained on `pixels`, with
# one learning rate $\varepsilon$ for all layers. You may only have `63 * pixels`. By what must you multiply the first
# layer's *weights* at the start, and by what the *learning rate of those weights* (its biases keep theirs), so that every $z$
# stays the same at every step?

# %%
answer_5 = None  # a pair: (factor of the weights, factor of their learning rate)
check("01.5", answer_5)

# %% [markdown]
# **To discuss.** Someone compares two activations at one learning rate and finds A twice as fast as B. What have they
# shown? Find a row of the figure in section 5 that would have fooled them, whichever rate they chose.
#
# **Go deeper:** [How far can the factor be trusted?](further/01_how_far_to_trust_it.ipynb) (rates, few seeds, precision)
# · [What happens inside](further/01_inside_the_layers.ipynb) (layer by layer; sigmoid and |tanh|).
# **Repeat the record:** `alexnet-edu experiment figure1`.
# **Next:** [02](02_local_response_norm.ipynb), the normalization that ReLU does not need, and that the authors used all the
# same.
