# %% [markdown]
# # 06 · The full training: solutions

# %%
import math

import torch

from alexnet_edu.exercises.check import check
from alexnet_edu.training.schedules import PlateauSchedule

# %% [markdown]
# **06.1.** An epoch has $\lceil 1{,}281{,}167 / 128 \rceil = 10{,}010$ batches; the last one holds 15 images.

# %%
updates = 90 * math.ceil(1_281_167 / 128)
print(f"{updates:,}")
check("06.1", updates)

# %% [markdown]
# **06.2.** Done, over what could have been done. An image costs 3 times its $2 \cdot 724{,}406{,}816$ operations forwards, less the gradient of the pixels, which
# conv1 need not compute ($2 \cdot 105{,}415{,}200$).

# %%
per_image = 3 * 2 * 724_406_816 - 2 * 105_415_200
share = 90 * 1_281_167 * per_image / (2 * 1.581e12 * 5.5 * 86_400)
print(f"{share:.3f}")
check("06.2", share)

# %% [markdown]
# **06.3.** The best error so far, how long it has stood, and how often the rate fell. After a fall the best error stays.


# %%
def times_fallen(errors, patience):
    best, waited, falls = math.inf, 0, 0
    for error in errors.tolist():
        best, waited = (error, 0) if error < best else (best, waited + 1)
        if waited == patience and falls < 3:
            falls, waited = falls + 1, 0
    return falls


errors = torch.tensor([0.9, 0.8, 0.8, 0.8, 0.7, 0.71, 0.72])
assert times_fallen(errors, 2) == len(PlateauSchedule(2).falls(errors.tolist())) == 2
check("06.3", times_fallen)

# %% [markdown]
# **06.4.** Cut out the batch, then deal it out like cards. (The package gives each process a block, `tensor_split`: that is as good.)


# %%
def rows(order, step, batch, rank, world):
    return order[step * batch : (step + 1) * batch][rank::world]


check("06.4", rows)

# %% [markdown]
# **06.5.** With a checkpoint every $T$ seconds, saving takes the share $c/T$ of the time. A crash loses $T/2$ on average, once in $M$ seconds: the share
# $T/(2M)$. The sum is least where $-c/T^2 + 1/(2M) = 0$, that is at $T = \sqrt{2cM}$.

# %%
c, M = 4, 86_400
T = math.sqrt(2 * c * M)
print(f"every {T:.0f} s; lost {c / T + T / (2 * M):.2%} of the time")
check("06.5", T)
