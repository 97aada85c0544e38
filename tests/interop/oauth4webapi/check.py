"""oauth4webapi checks every answer of an authorization as strictly as the specifications allow."""

import node

node.check("oauth4webapi", tls=True)
