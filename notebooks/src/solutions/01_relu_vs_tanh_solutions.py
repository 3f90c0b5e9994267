# %% [markdown]
# # 01 · ReLU against tanh: solutions

# %%
import torch
import torch.nn.functional as F

from alexnet_edu.model.cifar import CifarNetConfig, FourLayerNet
from alexnet_edu.notebook import check

# %% [markdown]
# **01.1.** $\sigma' = \sigma(1 - \sigma)$ is largest where $\sigma = 1/2$, and is $1/4$ there. Three layers multiply
# three slopes: at most $(1/4)^3 = 1/64$.

# %%
check("01.1", (1 / 4) ** 3)

# %% [markdown]
# **01.2.** One number far to the left, one near zero: $|\tanh(-3)|$ is the largest, but pooling first keeps $0.1$.

# %%
check("01.2", (-3.0, 0.1))

# %% [markdown]
# **01.3.** $y$ is an *output* of ReLU, so it is never negative, `y >= 0` is always true, and every gradient passes. The
# network trains as if it were linear on the way back.


# %%
def relu_backward(gradient, y):
    return gradient * (y > 0)


check("01.3", relu_backward)

# %% [markdown]
# **01.4.** The slope is below 0.05 beyond $|z| = \operatorname{artanh}\sqrt{0.95} \approx 2.18$. A normal distribution has 5%
# beyond $1.96\,\sigma$, so $\sigma_z$ must be $2.18 / 1.96 \approx 1.11$, and it is $0.01\sqrt{75} \cdot 63 \approx 5.46$.
# Trained on pixels divided by 5, at $\varepsilon = 0.01$, tanh lies between the two curves of section 4: the start is mended,
# but a step still moves $z$ $(63/5)^2 \approx 160$ times as far as on standardized pixels.

# %%
sigma_now = 0.01 * 75**0.5 * 63
sigma_wanted = torch.atanh(torch.tensor(0.95).sqrt()).item() / 1.96
check("01.4", sigma_now / sigma_wanted)

# %% [markdown]
# **01.5.** The start: $\sum_i (w_i/63)(63\,x_i) = \sum_i w_i x_i$. A step: on $63x$ the gradient of a first-layer weight is 63
# times as large, and meets pixels 63 times as large, so $\Delta z$ is $63^2$ times as large unless
# $\varepsilon$ is divided by $63^2$. (Momentum adds up steps, and so changes nothing. The bias sees no pixels: its rate stays.)
# Here are ten steps of both networks in double precision:

# %%
check("01.5", (1 / 63, 1 / 63**2))


# %%
def logits_after_ten_steps(scale, factor_weights, factor_rate, rate=0.02):
    random = torch.Generator().manual_seed(0)
    net = FourLayerNet(CifarNetConfig("tanh"), random).double()
    x = scale * torch.randn(16, 3, 32, 32, generator=random, dtype=torch.float64)
    y = torch.randint(10, (16,), generator=random)
    first, *others = net.parameters()
    first.data *= factor_weights
    for _ in range(10):
        gradients = torch.autograd.grad(F.cross_entropy(net(x), y), [first, *others])
        with torch.no_grad():
            for place, (w, g) in enumerate(zip([first, *others], gradients)):
                w -= rate * (factor_rate if place == 0 else 1) * g
    return net(x)


one, other = logits_after_ten_steps(1, 1, 1), logits_after_ten_steps(63, 1 / 63, 1 / 63**2)
print("the same network after ten steps:", torch.allclose(one, other, rtol=1e-9))
