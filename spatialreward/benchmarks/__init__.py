"""How good a judge or an editor is, measured against what is known to be true."""
