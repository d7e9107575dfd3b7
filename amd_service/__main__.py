"""python -m amd_service"""

from amd_service.cli import main

main()
