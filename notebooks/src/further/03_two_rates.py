# %% [markdown]
# # Further, 03 · Two rates, epoch by epoch
#
# The search chose different learning rates for the two windows. Does the difference in error come from the windows, or from the rates? So each was also trained at the other's rate.

# %%
from alexnet_edu.lessons import pooling as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.studies.record import as_text, table_by_rate

record = load("pooling")
searches = record.tables["searches"][["variant", "rate", "held_out_error"]]
rows = [(variant, rate, f"{error:.1%}") for variant, rate, error in searches.itertuples(index=False)]
print(as_text(("variant", "ε", "error on held-out training images"), rows))

# %% [markdown]
# Rates on the grid 1, 2, 5, 10, … were tried with one seed, three epochs each, until the best had a worse one on either side. Then each window was trained at each rate with four fresh seeds. ε falls to a tenth after epoch 8.

# %%
show(*lesson.curves_at_both_rates(record))

# %% [markdown]
# At the smaller rate both networks end with training errors that cannot be told apart, and $z = 3$ is about two points ahead on the test images. At the larger rate $z = 2$ fits its training images *better*, by more than three points, and is still behind on the test images. The last two epochs matter most: when the
# rate falls, all networks close in on their training images.
#
# The network has no other protection against overfitting. AlexNet has dropout, augmentation and weight decay, which may be why its gain is smaller.

# %%
print(record.origin())
print()
print(table_by_rate(record, "z2"))
print("* the rate that the search chose")

# %% [markdown]
# ± is the standard deviation over the seeds; brackets hold the 95% interval of the difference, in points. It knows how seeds differ, and nothing else.
