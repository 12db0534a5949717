"""Things that AWS makes: each module holds the steps of one kind and the pure builders of them."""
