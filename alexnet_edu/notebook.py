"""What every lesson starts with: `from alexnet_edu.notebook import check, hint, load, show, verdict`."""

from alexnet_edu.data.cifar10 import load_cifar10 as load_cifar10
from alexnet_edu.environment import at_scale as at_scale
from alexnet_edu.exercises.check import check as check
from alexnet_edu.exercises.check import hint as hint
from alexnet_edu.ledger.table import verdict as verdict
from alexnet_edu.show.plots import show as show
from alexnet_edu.studies.record import load as load
