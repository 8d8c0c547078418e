document.documentElement.classList.add("script");
setUpPoints();
if (data.points.length) {
  setUpFront();
  setUpParallel();
  filterPoints();
  setUpImportance();
  setUpComparison();
  setUpPoint();
}
