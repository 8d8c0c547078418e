"""The work of each command of ``lockstep``, one file a command; `codesign.app` has their arguments."""
