"""``lockstep benchmark study``: what a co-design study is worth, beside other people's tools and by itself."""
