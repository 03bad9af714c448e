"""Five steps that do nothing, one after the other, as Metaflow runs them on one machine."""

from metaflow import FlowSpec, step


class FiveSteps(FlowSpec):
    @step
    def start(self):
        self.next(self.validate)

    @step
    def validate(self):
        self.next(self.train)

    @step
    def train(self):
        self.next(self.score)

    @step
    def score(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    FiveSteps()
