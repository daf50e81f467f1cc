"""Who is champion: evidence beside the gate, and the aliases that say so in the registry.

What is served follows from it (``deployer``); nothing here talks to a server of models.
"""

from spatialreward.ops.promotion.errors import PromotionError
from spatialreward.ops.promotion.lifecycle import Change, demote, promote, reinstate

__all__ = ["Change", "PromotionError", "demote", "promote", "reinstate"]
