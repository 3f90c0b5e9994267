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
# **06.2.** Judging takes ten forward passes per image, of $2 \cdot 724{,}406{,}816$ operations each. Training takes one forward pass and twice as much on the way back,
# less the gradient of the pixels, which conv1 need not compute ($2 \cdot 105{,}415{,}200$). The 90 epochs are in both and cancel.

# %%
forwards = 2 * 724_406_816
share = 10 * 50_000 * forwards / (1_281_167 * (3 * forwards - 2 * 105_415_200))
print(f"{share:.4f}")
check("06.2", share)

# %% [markdown]
# **06.3.** An error that is lower by less than the margin does not become the best one. So small gains add up until they count.
#
# But a margin does not cure the false falls. What beats the best error by more than a margin would also beat it without one. So with a margin there are fewer new bests, patience runs out
# sooner, and the rate falls on at least as many sets. A margin helps against the opposite kind of luck: on a true plateau, a lucky measurement counts as a new best and keeps the rate up. Against false
# falls you need a longer patience, or more images. (Below, an error that falls by about half a point at a time: without a margin the rate stays; with a margin of one point it falls after the fourth
# measurement.)


# %%
def times_fallen(errors, patience, margin):
    best, waited, falls = math.inf, 0, 0
    for error in errors.tolist():
        best, waited = (error, 0) if error < best - margin else (best, waited + 1)
        if waited == patience and falls < 3:
            falls, waited = falls + 1, 0
    return falls


errors = torch.tensor([0.9, 0.8, 0.795, 0.79, 0.785, 0.77, 0.765])
print(
    [times_fallen(errors, 2, margin) for margin in (0, 0.01)],
    PlateauSchedule(2, margin=0.01).falls(errors.tolist()),
)
check("06.3", times_fallen)

# %% [markdown]
# **06.4.** Cut out the batch, then deal its images out like cards. (The package gives each process a block, `tensor_split`: that is as good.)


# %%
def rows(order, step, batch, rank, world):
    return order[step * batch : (step + 1) * batch][rank::world]


check("06.4", rows)

# %% [markdown]
# **06.5.** With a checkpoint every $T$ seconds, saving takes the share $c/T$ of the time. A crash loses $T/2$ on average, once every $M$ seconds: the share $T/(2M)$. The sum is least where $-c/T^2 + 1/(2M) = 0$, that is at $T = \sqrt{2cM}$.

# %%
c, M = 4, 86_400
T = math.sqrt(2 * c * M)
print(f"every {T:.0f} s; lost {c / T + T / (2 * M):.2%} of the time")
check("06.5", T)

# %% [markdown]
# **The sick patient.** Without its velocities the network stands still for a moment: momentum has to build up again, which takes some ten steps. The weights
# differ from the first step on. But in a run of ours the errors after the next seven epochs were never more than 0.7 points from those of the healthy training, now above, now below. Nobody would
# notice that in a curve. That is why resuming is tested on bits.
