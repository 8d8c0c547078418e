"""Area and clock of an accelerator, by Yosys and nextpnr."""
