"""A person at a real Chromium goes through every page."""

import node

node.check("browser", tls=False)
