"""python -m amd_service"""

from amd_service.cli.main import main

main()
