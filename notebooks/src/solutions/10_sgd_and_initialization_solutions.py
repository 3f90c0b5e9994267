# %% [markdown]
# # 10 · SGD and initialization: solutions

# %%
import math

import torch

from alexnet_edu.exercises.check import check
from alexnet_edu.training.sgd import PaperSGD

# %% [markdown]
# **10.1.** $0.95 + 0.95^2 + \dots = 0.95 / (1 - 0.95) = 19$.

# %%
check("10.1", 0.95 / (1 - 0.95))

# %% [markdown]
# **10.2.** As it is printed. The decay is multiplied by $\epsilon$, too.

# %%
check("10.2", lambda v, w, g, rate: 0.9 * v - 0.0005 * rate * w - rate * g)

# %% [markdown]
# **10.3.** $\sqrt{n/2}\,\sigma = 1$ with $n = 5 \cdot 5 \cdot 48 = 1200$.

# %%
check("10.3", (2 / (5 * 5 * 48)) ** 0.5)

# %% [markdown]
# **10.4.** The noise falls as $1/\sqrt B$: a quarter takes 16 times as many images.

# %%
check("10.4", 16 * 128)

# %% [markdown]
# **10.5.** Each step of decay takes $0.0005\,\epsilon$ of the weight, and momentum repeats it $1 + 0.9 + 0.81 + \dots = 10$
# times. So the weight shrinks as $e^{-5 \cdot 10^{-5}\,n}$ and is at a half where $n = \ln 2 / (5 \cdot 10^{-5})$. The
# optimizer needs a few steps more, because momentum has to build up first.

# %%
w, steps = torch.ones(1, dtype=torch.float64, requires_grad=True), 0
optimizer = PaperSGD([w], lr=0.01)
w.grad = torch.zeros_like(w)
while w.item() > 0.5:
    optimizer.step()
    steps += 1
predicted = math.log(2) / (0.0005 * 0.01 * 10)
print(f"predicted {predicted:,.0f} steps, counted {steps:,}")
assert abs(steps - predicted) < 20
check("10.5", predicted)
