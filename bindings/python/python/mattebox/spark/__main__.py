import sys

from mattebox.spark.job import main

if __name__ == "__main__":
    sys.exit(main())
