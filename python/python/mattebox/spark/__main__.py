import sys

from mattebox.spark.job import main

sys.exit(main())
