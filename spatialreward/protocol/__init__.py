"""The language spoken with a judge: how its answers are read and how scores become a reward."""
