"""From vectors to one number: losses and regularisers."""
