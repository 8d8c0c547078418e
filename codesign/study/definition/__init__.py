"""What a study asks: network, data, training, space, objectives, constraints, search; read from one TOML file."""
