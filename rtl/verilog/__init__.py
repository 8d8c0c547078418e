"""From elaborated components to Verilog that an RTL engineer takes."""
