# For maintainers; learners use course.py. `make environment` first.
PYTHON = .venv/bin/python

.PHONY: environment lint test lessons slides budgets kits site explorer mistakes data comparison benchmarks
.PHONY: video-tools voice videos trailer

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

# Films: docs/videos/README.md. Nothing of this is needed by learners.
FILM = PYTHONPATH=.:tools OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(PYTHON) -m film

video-tools:  # what apt has to install: docs/videos/README.md
	$(PYTHON) -m pip install -c constraints.txt -e '.[listen,video]'

voice:
	$(FILM).fetch_voice

stills-%:
	$(FILM).stills $*

film-%:
	$(FILM).make $*
	$(FILM).check $*

video-%: film-%
	$(PYTHON) tools/build_lessons.py --text-only  # the lesson tells the film's minutes

videos:  # two films at a time: where one of them is joined or checked, on one core, the other is drawn
	$(MAKE) --jobs=2 --keep-going film-0 film-1 film-2 film-3 film-4 film-5
	$(PYTHON) tools/build_lessons.py --text-only

trailer:  # from the finished films
	$(FILM).trailer
