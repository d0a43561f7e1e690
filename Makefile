# make demo: a clip in, a clip with a new background out.   make test: the tests.
# make rig: the tests of live on real devices, in a small Linux of their own, and two minutes of
# tests/soak.py; wants v4l-utils, ffmpeg and kmod.
# All set up what they need in .venv, from nothing but Python 3.11 or later.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test rig lint clean

demo: .venv/demo.done
	$(BIN)/python docs/demo.py demo

test: .venv/dev.done
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The camera of the rig sees the portrait that the demo shows. -s: what was measured is printed.
rig: .venv/dev.done .venv/demo.done
	$(BIN)/python -m pytest -m rig -s -rs tests/test_rig.py $(PYTEST_ARGS)
	$(BIN)/python tests/soak.py --minutes 2

lint: .venv/dev.done
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "cannot make a virtual environment: install python3-venv"; exit 1; }

# OpenCV's usual build needs libGL and glib, which a bare server lacks: there, the build of the
# same version without windows takes its place.
.venv/run.done: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -c 'import cv2' 2>/dev/null || $(MAKE) headless
	touch $@

.PHONY: headless
headless:
	$(BIN)/python -m pip uninstall --quiet --yes opencv-python
	$(BIN)/python -m pip install --quiet "$$(sed -n 's/^opencv-python==/opencv-python-headless==/p' requirements.txt)"

# Only the portrait in scikit-image's wheel is used, none of its code, hence --no-deps.
.venv/demo.done: .venv/run.done
	$(BIN)/python -m pip install --quiet --no-deps scikit-image==0.26.0
	touch $@

.venv/dev.done: requirements-dev.txt requirements-train.txt .venv/run.done
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	$(BIN)/python -c 'import cv2' 2>/dev/null || $(MAKE) headless
	touch $@

clean:
	rm -rf .venv demo
