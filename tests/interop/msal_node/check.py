"""MSAL for Node gets tokens over TLS, with the development CA, for itself and for people."""

import node

node.check("msal_node", tls=True)
