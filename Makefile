# For maintainers; learners use course.py. `make environment` first.
PYTHON = .venv/bin/python

.PHONY: environment lint test lessons slides budgets kits site explorer mistakes data comparison benchmarks

environment:
	python3 course.py test --collect-only -q
	$(PYTHON) -m pip install -c constraints.txt -e '.[compare,dev,site]'

lint:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

test:
	python3 course.py test

lessons:
	$(PYTHON) tools/build_lessons.py

slides:
	$(PYTHON) tools/save_slides.py

budgets:
	$(PYTHON) tools/record_budgets.py

data:
	$(PYTHON) data/make_pbmc.py
	$(PYTHON) data/record_scvi_tools.py

kits:
	$(PYTHON) tools/build_kits.py

site:
	$(PYTHON) tools/build_site.py

explorer:
	$(PYTHON) tools/train_explorer.py

mistakes:
	$(PYTHON) tools/write_mistakes.py

comparison:
	$(PYTHON) benchmarks/paired_comparison.py --seeds 10 --out vae_course/_data/comparison_pbmc.json

benchmarks:  # each of them writes what it measured, and RESULTS.md; cells of your own: train_speed.py cells.h5ad
	for script in train_speed operations evaluation_scale train_scale gpu_speed grading_speed; do \
		$(PYTHON) benchmarks/$$script.py || exit 1; done
