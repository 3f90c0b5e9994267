# %% [markdown]
# # Further, 07 · What else do two columns share out?
#
# The paper speaks of colour. But two columns that see the same image could divide their work in other ways.

# %%
from alexnet_edu.lessons import kernels as lesson
from alexnet_edu.notebook import load, show
from alexnet_edu.studies import kernels as numbers
from alexnet_edu.studies import specialization

record = load("specialization")
show(*lesson.measures(record))

# %% [markdown]
# *Colour by energy* is the colour share of a column's whole energy, in which strong kernels count more. *Hue* is magenta against green as a share of the colour energy; the rest is orange against blue. A filled mark lies beyond 95% of what chance gives.
#
# With the paper's connections the columns part by hue as clearly as by colour. With no exchange at all it is colour, colour by energy and frequency, and not hue. These three go together: the column with more colour is the coarser one. Where nothing is restricted, nothing is found. So "colour or no
# colour" may be one of several ways to divide the work; colour is what the eye notices first.
#
# Two warnings. Four measures are four chances to find something, so a single mark just outside the grey means little. And we thought of hue when we looked at the kernels of the shipped network: in its own row hue is no test.
#
# ## When do the columns part?

# %%
show(*lesson.over_training(record))

# %% [markdown]
# Before training (not drawn) the ratio is what chance gives, since random weights know of no columns. The columns do not begin different; they become so, within the first few passes over the images. After that the curves rise slowly or not at all, so more training of these networks on these images would hardly make it "every run".
#
# ## What does the restriction cost?

# %%
print(record.runs.groupby("title", sort=False)["test_error"].mean().map("{:.1%}".format).to_string())

# %% [markdown]
# (The network in which nothing is restricted has a third more weights.) In the authors' log, columns that read each other less do worse, too: lesson 05.
#
# ## You need not take our word
#
# The kernels of all these networks are in `data/weights`. The test, made again from the kernels themselves:

# %%
trained = lesson.recorded_kernels()
for name in ("paper", "joint", "apart"):
    again = numbers.pooled([numbers.colour_share(kernels) for kernels in trained[name].values()])
    print(f"{name:6} as recorded: {again == specialization.pooled_test(record, name)}")

# %%
print(record.origin())
print()
print(specialization.table(record))
