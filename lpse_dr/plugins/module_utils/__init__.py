"""Code that Ansible modules on the hosts may import: standard library only, Python 3.8 and newer."""
