"""openid-client goes through the whole life of an authorization over TLS."""

import node

node.check("openid_client", tls=True)
